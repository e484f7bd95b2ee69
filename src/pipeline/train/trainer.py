"""Trains a recogniser: a head on features of a frozen network, deeper blocks, or all of it."""

import hashlib
import importlib.metadata
import json
import math
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import atomic, params
from pipeline.core.progress import Progress
from pipeline.networks import backbones, devices, heads, keras_setup
from pipeline.train.batches import Batches, TrainingBatches, ValidationBatches
from pipeline.train.checkpoints import Checkpoint, SaveState, State
from pipeline.train.datasets import FitInputs, TrainingData
from pipeline.train.early_stopping import ValidatedEarlyStopping
from pipeline.train.epoch_log import EpochLog, OnEpoch, TrainingDiverged, TrainingInfeasible
from pipeline.train.losses import cross_entropy
from pipeline.train.metrics import Score
from pipeline.train.schedules import warm_up_cosine

__all__ = ["Trained", "TrainingDiverged", "TrainingInfeasible", "checkpoint", "fit"]

keras = keras_setup.keras()

HELD_OUT = "held_out.parquet"
_VALIDATION_BATCH = {"head": 1024, "blocks": 64, "whole": 64}


@dataclass(frozen=True)
class Trained:
    """A trained recogniser.

    Attributes:
        model: From RGB pixels in 0 to 255, (n, size, size, 3), to probabilities, (n, species).
        labels: The species, in the order of the probabilities.
        history: A row an epoch: phase, epoch, batch_size, loss, accuracy, val_loss, val_accuracy,
            learning_rate, pictures_per_second, seconds.
        validation: Score on the pictures held out: those of the validation split, or with folds
            also those of the training split, each by the head that did not train on it.
        held_out: Their photo, split and species, the probabilities, in the order of `labels`, the
            largest_logit, and whether the most probable species is right.
        stopped: Why training ended, as a sentence.
        model_params: What it was built from.
        train_params: What it was trained with; `batch_size` is the one that memory sufficed for.
        seconds: How long that took, features and all.
        feature_seconds: How many of them went to features, computed or read.
        cached: How many features did not have to be computed, as a sentence.
    """

    model: keras.Model
    labels: tuple[str, ...]
    history: pd.DataFrame
    validation: Score
    held_out: pd.DataFrame
    stopped: str
    model_params: params.Model
    train_params: params.Train
    seconds: float
    feature_seconds: float
    cached: str

    def __str__(self) -> str:
        validation, seconds = f"validation {self.validation}", f"{self.seconds:.0f} s"
        return "; ".join((self.stopped, validation, seconds, self.cached))

    def save(self, folder: Path, run_id: str, more: dict[str, str] | None = None) -> None:
        """Writes `model.keras`, `history.csv`, `held_out.parquet` and `run.json`.

        Args:
            folder: Where; it appears whole.
            run_id: The MLflow run that trained it.
            more: Contents of further text files, by name. Defaults to none.
        """
        run = {
            "run_id": run_id,
            "labels": self.labels,
            "validation": asdict(self.validation),
            "model": self.model_params.model_dump(),
            "train": self.train_params.model_dump(),
            "stopped": self.stopped,
        }
        with atomic.atomic_write(folder) as partial:
            partial.mkdir()
            self.model.save(partial / "model.keras")
            self.history.to_csv(partial / "history.csv", index=False)
            atomic.write_table(self.held_out, partial / HELD_OUT)
            (partial / "run.json").write_text(json.dumps(run, indent=2) + "\n")
            for name, text in (more or {}).items():
                (partial / name).write_text(text)


def code(*more: str) -> list[str]:
    """Returns what the weights depend on besides params and data, as digests and versions.

    Args:
        more: Further folders of the library to include, by name.
    """
    library = Path(__file__).parents[1]
    folders = ("augment", "inference", "networks", "train", *more)
    files = [file for name in folders for file in sorted((library / name).rglob("*.py"))]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return [*digests, *map(importlib.metadata.version, ("tensorflow", "keras"))]


def content(model: params.Model) -> dict[str, Any]:
    """Returns a network's params, with a file of weights by its sha256."""
    file = Path(model.weights)
    weights = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else model.weights
    return model.model_dump() | {"weights": weights}


def checkpoint(model: params.Model, train: params.Train, data: TrainingData) -> Checkpoint:
    """Opens what a killed `fit` of the same network, params and data had reached."""
    all_that_decides = [data.digest(), content(model), train.model_dump(), code()]
    return Checkpoint.of(data.cache / "checkpoints", [*all_that_decides, devices.training_gpus()])


def fit(
    model: params.Model,
    train: params.Train,
    data: TrainingData,
    on_epoch: OnEpoch = lambda *_: None,
    checkpoint: Checkpoint | None = None,
    deadline: float = math.inf,
) -> Trained:
    """Trains a recogniser and stops when validation no longer improves.

    A pretrained backbone is frozen and its features are computed once, so that a head trains in
    seconds; unfrozen blocks follow afterwards from cached activations, at a lower rate. All blocks
    of a backbone, and one without weights, train from pixels, and see no copy twice.

    Args:
        model: What to build.
        train: How to train it.
        data: What to train on.
        on_epoch: Called after each epoch with its number, from 0, and its metrics. Defaults to
            nothing.
        checkpoint: Where a killed training goes on; it ends with the weights of one that nobody
            disturbed. Defaults to None: training starts anew, and leaves nothing.
        deadline: When to stop, by `time.monotonic`, after the epoch in which that is. Defaults to
            never.

    Raises:
        TrainingDiverged: The loss became NaN or infinite.
        TrainingInfeasible: There is no memory for the features, or to train on a single picture.
        UserError: There is no such backbone, or its weights are missing.
    """
    started, feature_seconds = time.monotonic(), data.features.seconds
    keras_setup.keras(train.seed)
    keras.backend.clear_session()  # or a search would keep every network it tried in memory
    backbones.get(model.backbone).check(data.training.shards.size, model.unfrozen_blocks)
    parts = _build(model, data)
    keras_setup.keras(train.seed)  # again: a network from an earlier trial drew no random weights
    phases = _Phases(train, on_epoch, checkpoint or Checkpoint(None), deadline)
    if parts.frozen is None:
        fitted = _fit_whole(model, data, parts, phases)
    else:
        fitted = _fit_head(model, data, parts, phases)
        if model.unfrozen_blocks:
            fitted = _fit_blocks(model, data, fitted, phases)
    last = phases.history[-1]
    logits = _predict(fitted.network, fitted.inputs, last)
    probabilities = _softmax(logits)
    outputs = keras.layers.Softmax(name="probabilities")(fitted.head(fitted.whole.output))
    return Trained(
        model=keras.Model(fitted.whole.input, outputs, name="recogniser"),
        labels=data.labels,
        history=pd.DataFrame(phases.history),
        validation=Score.of(probabilities, fitted.inputs.validation.targets),
        held_out=_held_out(fitted.inputs, data.labels, logits),
        stopped=fitted.stopped,
        model_params=model,
        train_params=train.model_copy(update={"batch_size": last["batch_size"]}),
        seconds=time.monotonic() - started,
        feature_seconds=data.features.seconds - feature_seconds,
        cached=data.features.cached,
    )


@dataclass(frozen=True)
class _Fitted:
    """What a phase of training has led to.

    Attributes:
        whole: From pixels to features.
        head: From features to logits, (n, species).
        network: What was trained, from `inputs` to logits.
        inputs: What it trained on and was validated by.
        stopped: Why the phase ended, as a sentence.
    """

    whole: keras.Model
    head: keras.Model
    network: keras.Model
    inputs: FitInputs
    stopped: str


def _held_out(inputs: FitInputs, labels: tuple[str, ...], logits: np.ndarray) -> pd.DataFrame:
    """Returns the index of what is held out, with species, what was answered and whether right."""
    targets = inputs.validation.targets
    return inputs.index.assign(
        species=np.array(labels)[targets],
        probabilities=list(_softmax(logits)),
        largest_logit=logits.max(axis=1),
        right=logits.argmax(axis=1) == targets,
    )


def _build(model: params.Model, data: TrainingData) -> backbones.Parts:
    """Builds a backbone; a frozen one is built once, for the trials of a search share it."""
    key = model.backbone, model.weights
    if key in data.networks:
        return data.networks[key]
    size = data.training.shards.size
    parts = backbones.get(model.backbone).build(size, weights=model.weights)
    if parts.frozen is not None:
        data.networks[key] = parts
    return parts


def _fit_whole(
    model: params.Model, data: TrainingData, parts: backbones.Parts, phases: "_Phases"
) -> _Fitted:
    """Trains a network without weights from pixels."""
    channels = parts.whole.output.shape[-1]
    head = heads.build(channels, len(data.labels), model.hidden, model.dropout)
    network = keras.Model(parts.whole.input, head(parts.whole.output))
    inputs = _fit_inputs(data, None, folded=False)
    stopped = phases.run("whole", network, inputs, phases.train.learning_rate)
    return _Fitted(parts.whole, head, network, inputs, stopped)


def _fit_head(
    model: params.Model, data: TrainingData, parts: backbones.Parts, phases: "_Phases"
) -> _Fitted:
    """Trains a head on the features of a frozen network, or a head for each fold side by side."""
    channels, labels = parts.whole.output.shape[-1], len(data.labels)
    # Blocks differ from head to head once they are trained, and cost minutes each.
    folded = data.fold is not None and not model.unfrozen_blocks
    count = int(data.fold.max()) + 1 if folded else None
    network = heads.build(channels, labels, model.hidden, model.dropout, count)
    inputs = _fit_inputs(data, parts.frozen, folded)
    stopped = phases.run("head", network, inputs, phases.train.learning_rate)
    if folded:
        head = heads.merged(network, model.hidden, model.dropout)
    else:  # another one, without the optimizer, which would be saved with it
        head = heads.build(channels, labels, model.hidden, model.dropout)
        head.set_weights(network.get_weights())
    return _Fitted(parts.whole, head, network, inputs, stopped)


def _fit_blocks(
    model: params.Model, data: TrainingData, fitted: _Fitted, phases: "_Phases"
) -> _Fitted:
    """Trains the top blocks of a network below a head that is trained already."""
    parts = backbones.get(model.backbone).build(
        data.training.shards.size,
        weights=model.weights,
        unfrozen_blocks=model.unfrozen_blocks,
    )
    network = keras.Model(parts.trainable.input, fitted.head(parts.trainable.output))
    inputs = _fit_inputs(data, parts.frozen, folded=False)
    peak = phases.train.learning_rate * phases.train.fine_tune_rate
    stopped = phases.run("blocks", network, inputs, peak)
    return _Fitted(parts.whole, fitted.head, network, inputs, stopped)


def _fit_inputs(data: TrainingData, frozen: keras.Model | None, folded: bool) -> FitInputs:
    try:
        return data.fit_inputs(frozen, folded)
    except Exception as error:
        if not keras_setup.out_of_memory(error):
            raise
        raise TrainingInfeasible(
            "there is no memory for the features of all pictures; lower augment.copies, "
            "resize.size or model.unfrozen_blocks"
        ) from None


class _Phases:
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
        self, train: params.Train, on_epoch: OnEpoch, checkpoint: Checkpoint, deadline: float
    ) -> None:
        self.train, self._on_epoch = train, on_epoch
        self._checkpoint, self._deadline = checkpoint, deadline
        self.history: list[dict] = []

    def run(self, phase: str, network: keras.Model, inputs: FitInputs, peak: float) -> str:
        """Trains a network, from where a killed training was, and says why it ended.

        Where there is no memory for a batch it goes on with half of it, from the weights at the
        end of the last epoch.

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
            train = train.model_copy(update={"batch_size": reached["batch_size"]})
        while True:
            # So what random layers draw does not depend on the number of attempts.
            keras_setup.keras(train.seed)
            one = _Phase(phase, network, inputs, train, peak)
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
            print(f"no memory for batches of {size} pictures: going on with {half}", flush=True)
            train = train.model_copy(update={"batch_size": half})

    def _run_once(self, phase: "_Phase", reached: State | None) -> str:
        """Trains a network with batches of one size, and says why it ended."""
        train, network = phase.train, phase.network
        first = reached["epochs"] if reached else 0
        batches, validation = phase.batches(first), phase.validation_batches()
        model = phase.compiled(len(batches))
        pictures = len(phase.inputs.training.targets)
        progress = Progress(
            (train.epochs - first) * pictures, f"train {phase.name}", "pictures", lasting=False
        )
        log = EpochLog(
            self.history, phase.name, pictures, train.batch_size, progress, self._on_epoch
        )
        log.first -= first
        log.deadline, log.steps_at_once = self._deadline, phase.steps_at_once(len(batches))
        stopping = ValidatedEarlyStopping(phase.in_memory(validation), train.patience)
        state = {"phase": phase.name, "batch_size": train.batch_size, "history": self.history}
        save = SaveState(self._checkpoint, state, reached, stopping)
        had_stopped = bool(reached and reached["stopping"]["stopped_epoch"])
        start_weights = network.get_weights()
        try:
            with progress:
                model.fit(
                    devices.feed(batches),
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
        return _reason(log.first, stopping, train, model.stop_training)


@dataclass(frozen=True)
class _Phase:
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
    train: params.Train
    peak: float

    def batches(self, first_epoch: int) -> TrainingBatches:
        """Returns batches to train on from an epoch on."""
        return TrainingBatches(
            self.inputs.training,
            self.train,
            num_devices=max(1, len(devices.training_gpus())),
            alter=self.inputs.alter,
            first_epoch=first_epoch,
        )

    def validation_batches(self) -> ValidationBatches:
        """Returns batches to validate by."""
        size = _validation_batch(self.name, self.train.batch_size)
        return ValidationBatches(self.inputs.validation, size)

    def in_memory(self, batches: Batches) -> Any:
        """Returns batches of features as tensors: they are small, if not beside a GPU's memory."""
        if self.name != "head":
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
        loss = cross_entropy(train.label_smoothing)
        at_once = self.steps_at_once(steps)
        return devices.compiled(self.network, train.precision, optimizer, loss, at_once)


def _reason(
    first: int, stopping: ValidatedEarlyStopping, train: params.Train, stopped: bool
) -> str:
    """Says why a phase ended, and which weights are restored."""
    best = f"weights of epoch {first + stopping.best_epoch + 1} kept"
    if stopping.stopped_epoch:
        epoch = f"epoch {first + stopping.stopped_epoch + 1}"
        return f"{epoch}: no lower validation loss for {train.patience} epochs; {best}"
    if stopped:
        return f"time was up; {best}"
    return f"all {train.epochs} epochs done; {best}"


def _validation_batch(phase: str, batch_size: int) -> int:
    """Returns pictures a batch to validate by; fewer where memory did not suffice to train."""
    return min(_VALIDATION_BATCH[phase], 4 * batch_size)


def _predict(network: keras.Model, inputs: FitInputs, last: dict) -> np.ndarray:
    """Predicts the logits of what is held out, each by the head that did not train on it.

    Args:
        network: From inputs to logits.
        inputs: What it was validated by.
        last: The last epoch's phase and batch_size, which say how much memory there is.

    Returns:
        Logits, (n, species).
    """
    validation = inputs.validation
    rows = np.arange(len(validation.targets))
    size = _validation_batch(last["phase"], last["batch_size"])
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    taken = (keras.ops.convert_to_numpy(network(validation.inputs.take(part))) for part in parts)
    logits = np.concatenate(list(taken))
    return logits if validation.fold is None else logits[rows, validation.fold]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
