"""What a training has reached, kept on disk, so that one that was killed goes on from there.

Keras' `BackupAndRestore` keeps the weights and the optimizer, but neither the best weights so far
nor how long early stopping has waited; so a resumed training would end with other weights.
"""

import hashlib
import json
import shutil
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import atomic

if TYPE_CHECKING:
    import keras

_SECONDS = 2.0  # of training between two states on disk: a head has 50 epochs in them
_STATE = "state.npz"
_STOPPING = ("wait", "stopped_epoch", "best", "best_epoch")


class Checkpoint:
    """One training on disk: what it had reached some seconds ago, and its MLflow run.

    Args:
        folder: Where; safe to delete at any time. None keeps nothing.
    """

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._written = time.monotonic()
        self._last = _read(folder / _STATE) if folder else None

    @classmethod
    def of(cls, cache: Path, content: Any) -> "Checkpoint":
        """The one that belongs to `content`: all that decides the weights, as JSON can say it."""
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return cls(cache / key)

    @property
    def run_id(self) -> str | None:
        """The MLflow run of the training that was killed, if one was."""
        try:
            return (self._folder / "run_id").read_text()
        except FileNotFoundError:
            return None

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        with atomic.whole(self._folder / "run_id") as partial:
            partial.write_text(run_id)

    def is_past(self, phase: str) -> bool:
        """Whether the killed training had this phase behind it; phases are asked for in order."""
        return self._last is not None and self._last["phase"] != phase

    def take(self) -> dict[str, Any] | None:
        """What the killed training had reached, once: phase, epochs done in it, batch_size, history
        and more that `callback` restores."""
        last, self._last = self._last, None
        return last

    def callback(
        self,
        keras: Any,
        reached: dict[str, Any] | None,
        stopping: "keras.callbacks.EarlyStopping",
        **about: Any,
    ) -> "keras.callbacks.Callback":
        """Restores, when training begins, what was reached, and writes what will be.

        Args:
            keras: The module.
            reached: What `take` gave.
            stopping: Early stopping; it stands before this callback in the list.
            about: What `take` shall give next time; a list may still grow.
        """
        checkpoint = self

        class Keep(keras.callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:
                if reached is None:
                    return
                for variable, value in zip(self._variables(), reached["variables"], strict=True):
                    variable.assign(value)
                for name in _STOPPING:
                    setattr(stopping, name, reached["stopping"][name])
                stopping.best_weights = reached["best_weights"]

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if not checkpoint._folder or time.monotonic() - checkpoint._written < _SECONDS:
                    return
                waited = {name: getattr(stopping, name) for name in _STOPPING}
                values = [keras.ops.convert_to_numpy(each) for each in self._variables()]
                checkpoint._write(
                    {**about, "epochs": epoch + 1, "stopping": waited},
                    {"variables": values, "best_weights": stopping.best_weights},
                )

            def _variables(self) -> list:
                """Weights, the states of random layers, and the optimizer's."""
                return [*self.model.variables, *self.model.optimizer.variables]

        return Keep()

    def remove(self) -> None:
        """Forgets the training: what it led to is in its place."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, said: dict[str, Any], arrays: dict[str, list[np.ndarray]]) -> None:
        named = {f"{name} {i}": a for name, many in arrays.items() for i, a in enumerate(many)}
        with atomic.whole(self._folder / _STATE) as partial, partial.open("wb") as file:
            np.savez(file, said=json.dumps(said), **named)
        self._written = time.monotonic()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
            state = json.loads(str(arrays.pop("said"))) | {"variables": [], "best_weights": []}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # none, or power was cut
        return None
    for name, array in arrays.items():
        state[name.split()[0]].append(array)
    return state
