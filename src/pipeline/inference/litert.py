"""Running a network in LiteRT, on every core and from any thread."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
from ai_edge_litert.interpreter import Interpreter

T = TypeVar("T")
R = TypeVar("R")
MAIN = "probabilities"  # the output that is a network's answer
MAPS = "activation_maps"  # an output that networks with a linear head have
PARITY = 1e-3  # of a probability: how far two forms of one network, or two runs, may be apart


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
        interpreter = self._free.get()
        try:
            interpreter.set_tensor(self._input, picture[None].astype(np.float32))
            interpreter.invoke()
            return {name: interpreter.get_tensor(place)[0] for name, place in self._outputs.items()}
        finally:
            self._free.put(interpreter)

    def one(self, picture: np.ndarray) -> np.ndarray:
        """Returns the output `probabilities`, or the only one, for a picture as `outputs` takes."""
        return self.outputs(picture)[MAIN]

    def map_ordered(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Returns `function` of every item in order, on all cores; one item stays in its thread."""
        items = list(items)
        if len(items) == 1:
            return [function(items[0])]
        return list(self._pool.map(function, items))

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the answers for several pictures, float32 (n, ...)."""
        return np.stack(self.map_ordered(self.one, pictures))


def view_mean(outputs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the outputs of a network for a photo, given those for its views.

    A photo may be seen as a whole and as parts of it (`crops.SubjectCrop`). The probabilities are
    the geometric mean, made to sum to 1, so those of the mean logits; all else is the mean, but
    activation maps, which are those of the first view.

    Args:
        outputs: Of each view, at least one.
    """
    first, *others = outputs
    if not others:
        return dict(first)
    means = {name: np.mean([each[name] for each in outputs], axis=0) for name in first}
    logits = np.mean([np.log(each[MAIN].clip(1e-12)) for each in outputs], axis=0)
    powers = np.exp(logits - logits.max())
    means[MAIN] = (powers / powers.sum()).astype(first[MAIN].dtype)
    return means | {name: first[name] for name in (MAPS,) if name in first}
