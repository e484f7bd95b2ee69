"""Trains networks one after the other: a head, blocks below it, or all of a network."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pipeline.core.progress import Progress
from pipeline.networks import devices, keras_setup
from pipeline.networks.quiet_keras import keras
from pipeline.train import feature_store
from pipeline.train.batches import Batches, TrainingBatches, ValidationBatches
from pipeline.train.checkpoints import Checkpoint, SaveState, State
from pipeline.train.datasets import FitInputs
from pipeline.train.early_stopping import ValidatedEarlyStopping
from pipeline.train.epoch_log import EpochLog, Epochs, OnEpoch, TrainingInfeasible
from pipeline.train.schedules import warm_up_cosine
from pipeline.train.settings import TrainingSettings

_VALIDATION_BATCH = {"head": 1024, "blocks": 64, "whole": 64}


class Phases:
    """Trains networks one after the other, as one training with one history.

    Args:
        train: How to train.
        on_epoch: Called after each epoch with its number and its metrics.
        checkpoint: Where a killed training goes on.
        deadline: When to stop, by `time.monotonic`.

    Attributes:
        history: A row an epoch.
    """

    def __init__(
        self, train: TrainingSettings, on_epoch: OnEpoch, checkpoint: Checkpoint, deadline: float
    ) -> None:
        self.train, self._on_epoch = train, on_epoch
        self._checkpoint, self._deadline = checkpoint, deadline
        self.history: list[dict] = []

    def run(self, phase: str, network: keras.Model, inputs: FitInputs, peak: float) -> str:
        """Trains a network, from where a killed training was, and says why it ended.

        Where there is no memory for a batch the phase begins anew with half of it, from the weights
        at the end of the last epoch.

        Args:
            phase: `head`, `blocks` or `whole`.
            network: From `inputs` to logits.
            inputs: What to train on and validate by.
            peak: The learning rate at its peak.

        Raises:
            TrainingDiverged: The loss became NaN or infinite.
            TrainingInfeasible: There is no memory for a single picture.
        """
        if self._checkpoint.is_past(phase):
            return "done before"
        reached, train = self._checkpoint.pop(), self.train
        if reached:
            self.history[:] = reached["history"]
            train = replace(train, batch_size=reached["batch_size"])
        while True:
            # So what random layers draw does not depend on the number of attempts.
            keras_setup.seed(train.seed)
            one = Phase(phase, network, inputs, train, peak)
            try:
                return self._run_once(one, reached)
            except Exception as error:
                if not keras_setup.out_of_memory(error):
                    raise
            half, reached = train.batch_size // 2, None
            if not half:
                raise TrainingInfeasible(
                    "there is no memory to train on one picture at a time; "
                    "lower resize.size or take a smaller model.backbone"
                )
            size = train.batch_size
            print(f"no memory for batches of {size} pictures: anew with {half}", flush=True)
            train = replace(train, batch_size=half)

    def _run_once(self, phase: "Phase", reached: State | None) -> str:
        """Trains a network with batches of one size, and says why it ended."""
        train, network = phase.train, phase.network
        first = reached["epochs"] if reached else 0
        batches, validation = phase.batches(first), phase.validation_batches()
        model = phase.compiled(len(batches))
        pictures = len(phase.inputs.training.targets)
        progress = Progress(
            (train.epochs - first) * pictures, f"train {phase.name}", "pictures", lasting=False
        )
        epochs = Epochs(
            phase=phase.name,
            first=len(self.history) - first,
            pictures=pictures,
            batch_size=train.batch_size,
            steps_at_once=phase.steps_at_once(len(batches)),
        )
        log = EpochLog(self.history, epochs, progress, self._on_epoch, self._deadline)
        stopping = ValidatedEarlyStopping(phase.in_memory(validation), train.patience)
        state = {"phase": phase.name, "batch_size": train.batch_size, "history": self.history}
        save = SaveState(self._checkpoint, state, reached, stopping)
        had_stopped = bool(reached and reached["stopping"]["stopped_epoch"])
        start_weights = network.get_weights()
        try:
            with progress:
                model.fit(
                    devices.feed(batches, phase.features),
                    initial_epoch=train.epochs if had_stopped else first,
                    epochs=train.epochs,
                    steps_per_epoch=len(batches),
                    shuffle=False,  # Keras would shuffle by a generator no checkpoint knows
                    verbose=0,
                    callbacks=[stopping, log, save],
                )
        except Exception:
            network.set_weights(log.epoch_start_weights or start_weights)
            raise
        finally:
            batches.close()
            validation.close()
        if model is not network:
            network.set_weights(model.get_weights())
        return _reason(epochs.first, stopping, train, model.stop_training)


@dataclass(frozen=True)
class Phase:
    """A network to train, and how.

    Attributes:
        name: `head`, `blocks` or `whole`.
        network: From `inputs` to logits.
        inputs: What it trains on and is validated by.
        train: How to train.
        peak: The learning rate at its peak.
    """

    name: str
    network: keras.Model
    inputs: FitInputs
    train: TrainingSettings
    peak: float

    @property
    def features(self) -> tuple[Any, ...]:
        """Tensors of which batches hold the numbers of rows; none if they hold the inputs."""
        inputs = self.inputs.training.inputs
        return inputs.tensors if isinstance(inputs, feature_store.Features) else ()

    def batches(self, first_epoch: int) -> TrainingBatches:
        """Returns batches to train on from an epoch on."""
        training = self.inputs.training
        if self.features:
            training = replace(training, inputs=_Numbers(training.inputs))
        return TrainingBatches(
            training,
            self.train,
            num_devices=max(1, len(devices.training_gpus())),
            alter=self.inputs.alter,
            first_epoch=first_epoch,
        )

    def validation_batches(self) -> ValidationBatches:
        """Returns batches to validate by."""
        size = validation_batch(self.name, self.train.batch_size)
        return ValidationBatches(self.inputs.validation, size)

    def in_memory(self, batches: Batches) -> Any:
        """Returns batches of features as tensors, a tenth of a head's time, if they are few.

        They lie in the processor's memory, beside a GPU's.
        """
        if self.name != "head" or len(batches) * batches[0][0].nbytes > feature_store.IN_MEMORY:
            return batches
        with keras.device("cpu"):
            return [tuple(map(keras.ops.convert_to_tensor, batch)) for batch in batches]

    def steps_at_once(self, steps: int) -> int:
        """Returns how many steps run between two callbacks.

        Between a head's steps, of some milliseconds, there is nothing to do: a quarter of its time.
        """
        return steps if self.name == "head" else 1

    def compiled(self, steps: int) -> keras.Model:
        """Returns the network to call `fit` of, for so many steps an epoch."""
        train = self.train
        schedule = warm_up_cosine(self.peak, train.epochs * steps, train.warm_up * steps)
        optimizer = partial(keras.optimizers.AdamW, schedule, weight_decay=train.weight_decay)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        at_once = self.steps_at_once(steps)
        return devices.compiled(self.network, train.precision, optimizer, loss, at_once)


@dataclass(frozen=True)
class _Numbers:
    """In place of features, the rows where they stand."""

    features: feature_store.Features

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.features.numbers(rows)


def _reason(
    first: int, stopping: ValidatedEarlyStopping, train: TrainingSettings, stopped: bool
) -> str:
    """Says why a phase ended, and which weights are restored."""
    best = f"weights of epoch {first + stopping.best_epoch + 1} kept"
    if stopping.stopped_epoch:
        epoch = f"epoch {first + stopping.stopped_epoch + 1}"
        return f"{epoch}: no lower validation loss for {train.patience} epochs; {best}"
    if stopped:
        return f"time was up; {best}"
    return f"all {train.epochs} epochs done; {best}"


def validation_batch(phase: str, batch_size: int) -> int:
    """Returns pictures a batch to validate by; fewer where memory did not suffice to train."""
    return min(_VALIDATION_BATCH[phase], 4 * batch_size)
