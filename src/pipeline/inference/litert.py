"""Running a network in LiteRT, on every core and from any thread.

Nothing of the project is imported: a served model carries this file along.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
from ai_edge_litert.interpreter import Interpreter

T = TypeVar("T")
R = TypeVar("R")
MAIN = "probabilities"  # the output that is a network's answer
MAPS = "activation_maps"  # an output that networks with a linear head have


class Network:
    """A LiteRT network that takes one picture at a time and answers with vectors or maps.

    An interpreter is not safe for two threads at once, so there is one a core, each with one
    thread of its own, and a picture waits for a free one. That is faster than one interpreter with
    a thread a core, and its answers do not depend on other requests.

    Args:
        model: The bytes of a `.tflite` file.
        workers: Interpreters to keep. Defaults to one a core.

    Attributes:
        input: Name of the input.
        size: Sides of the pictures it takes (px).
    """

    def __init__(self, model: bytes, workers: int | None = None):
        workers = workers or os.cpu_count() or 1
        self._free: SimpleQueue[Interpreter] = SimpleQueue()
        self._pool = ThreadPoolExecutor(workers)
        for _ in range(workers):
            interpreter = Interpreter(model_content=model, num_threads=1)
            interpreter.allocate_tensors()
            self._free.put(interpreter)
        self._input = interpreter.get_input_details()[0]["index"]
        self.size = int(interpreter.get_input_details()[0]["shape"][1])
        runner = interpreter.get_signature_runner()
        (self.input,), outputs = runner.get_input_details(), runner.get_output_details()
        self._outputs = {
            name if len(outputs) > 1 else MAIN: details["index"]
            for name, details in outputs.items()
        }

    def outputs(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Returns all outputs for one picture by name; an only one is called `probabilities`.

        Args:
            picture: uint8 or float32 (size, size, 3) in 0 to 255.
        """
        return self._run(picture, self._outputs)

    def one(self, picture: np.ndarray) -> np.ndarray:
        """Returns the output `probabilities` for one picture, or the only output.

        Args:
            picture: uint8 or float32 (size, size, 3) in 0 to 255.
        """
        return self._run(picture, (MAIN,))[MAIN]

    def _run(self, picture: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
        interpreter = self._free.get()
        try:
            interpreter.set_tensor(self._input, picture[None].astype(np.float32))
            interpreter.invoke()
            return {name: interpreter.get_tensor(self._outputs[name])[0] for name in names}
        finally:
            self._free.put(interpreter)

    def map_ordered(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Returns `function` of every item in order, on all cores; one item stays in its thread."""
        items = list(items)
        if len(items) == 1:
            return [function(items[0])]
        return list(self._pool.map(function, items))

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the answers for several pictures, float32 (n, ...)."""
        return np.stack(self.map_ordered(self.one, pictures))
