"""Writes down what a training has reached, so that one that was killed goes on from there.

Keras' `BackupAndRestore` stores the weights and the optimizer, but neither the best weights so far
nor how long early stopping has waited; so a resumed training would end with other weights.
"""

import hashlib
import json
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import atomic
from pipeline.networks.quiet_keras import keras

_SECONDS = 2.0  # of training between two states on disk: a head has 50 epochs in them
_STATE = "state.npz"
_STOPPING = ("wait", "stopped_epoch", "best", "best_epoch")

State = dict[str, Any]


class Checkpoint:
    """One training on disk: what it had reached some seconds ago, and its MLflow run.

    Args:
        folder: Where; safe to delete at any time. None stores nothing.
    """

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._written = time.monotonic()
        self._last = _read(folder / _STATE) if folder else None

    @classmethod
    def of(cls, cache: Path, content: Any) -> "Checkpoint":
        """Opens the one that belongs to `content`: all that decides the weights, as JSON."""
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return cls(cache / key)

    @property
    def run_id(self) -> str | None:
        """The MLflow run of the training that was killed, if one was."""
        try:
            return self._path("run_id").read_text()
        except FileNotFoundError:
            return None

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        with atomic.atomic_write(self._path("run_id")) as partial:
            partial.write_text(run_id)

    def is_past(self, phase: str) -> bool:
        """Tells whether the killed training had ended this phase; to be called in their order."""
        return self._last is not None and self._last["phase"] != phase

    def pop(self) -> State | None:
        """Returns what the killed training had reached, once.

        That is phase, epochs done in it, batch_size, history and what `SaveState` restores.
        """
        last, self._last = self._last, None
        return last

    @property
    def is_due(self) -> bool:
        """True if a state is to be written: there is a folder, and the last one is old enough."""
        return self._folder is not None and time.monotonic() - self._written >= _SECONDS

    def write(self, state: State, arrays: dict[str, list[np.ndarray]]) -> None:
        """Writes a state in place of the one before.

        Args:
            state: As JSON can hold it.
            arrays: Lists of arrays by name, which `pop` returns beside it.
        """
        named = {f"{name} {i}": a for name, many in arrays.items() for i, a in enumerate(many)}
        with atomic.atomic_write(self._path(_STATE)) as partial, partial.open("wb") as file:
            np.savez(file, state=json.dumps(state), **named)  # pyright: ignore[reportArgumentType] (none is called allow_pickle)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Removes the training from disk: what it led to is in its place."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise ValueError("a checkpoint without a folder stores nothing")
        return self._folder / name


class SaveState(keras.callbacks.Callback):
    """Restores, when training begins, what was reached, and writes what is reached from then on.

    Args:
        checkpoint: Where.
        state: What to store beside weights: phase, batch_size and history, a list that may grow.
        reached: What `Checkpoint.pop` returned; None to start anew.
        stopping: Early stopping; it stands before this callback in the list.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        state: State,
        reached: State | None,
        stopping: keras.callbacks.EarlyStopping,
    ) -> None:
        super().__init__()
        self._checkpoint, self._state = checkpoint, state
        self._reached, self._stopping = reached, stopping

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores the weights, the optimizer and how long early stopping has waited."""
        reached, stopping = self._reached, self._stopping
        if reached is None:
            return
        for variable, value in zip(self._variables(), reached["variables"], strict=True):
            variable.assign(value)
        for name in _STOPPING:
            setattr(stopping, name, reached["stopping"][name])
        stopping.best_weights = reached["best_weights"]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the state, if the last one is some seconds old."""
        if not self._checkpoint.is_due:
            return
        waited = {name: getattr(self._stopping, name) for name in _STOPPING}
        values = [keras.ops.convert_to_numpy(variable) for variable in self._variables()]
        self._checkpoint.write(
            {**self._state, "epochs": epoch + 1, "stopping": waited},
            {"variables": values, "best_weights": self._stopping.best_weights},
        )

    def _variables(self) -> list:
        """Returns weights, the states of random layers, and the optimizer's."""
        return [*self.model.variables, *self.model.optimizer.variables]


def _read(path: Path) -> State | None:
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
            state = json.loads(str(arrays.pop("state"))) | {"variables": [], "best_weights": []}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or power was cut
        return None
    for name, array in arrays.items():
        state[name.split()[0]].append(array)
    return state
