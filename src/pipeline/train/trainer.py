"""Trains a recogniser: a head on features of a frozen network, deeper blocks, or all of it."""

import hashlib
import importlib.metadata
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.networks import backbones, devices, heads, keras_setup
from pipeline.networks.quiet_keras import keras
from pipeline.train import held_out
from pipeline.train.checkpoints import Checkpoint
from pipeline.train.datasets import FitInputs, TrainingData
from pipeline.train.epoch_log import OnEpoch, TrainingInfeasible
from pipeline.train.metrics import Score, positions
from pipeline.train.phases import Phases, validation_batch
from pipeline.train.settings import NetworkSettings, TrainingSettings
from pipeline.train.trained import Trained


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


def checkpoint(model: NetworkSettings, train: TrainingSettings, data: TrainingData) -> Checkpoint:
    """Opens what a killed `fit` of the same network, params and data had reached."""
    all_that_decides = [data.digest(), model.content(), asdict(train), code()]
    return Checkpoint.of(data.cache / "checkpoints", [*all_that_decides, devices.training_gpus()])


def fit(
    model: NetworkSettings,
    train: TrainingSettings,
    data: TrainingData,
    on_epoch: OnEpoch = lambda *_: None,
    checkpoint: Checkpoint | None = None,
    deadline: float = math.inf,
) -> Trained:
    """Trains a recogniser and stops when validation no longer improves.

    A pretrained backbone is frozen and its features are computed once; unfrozen blocks follow from
    cached activations, at a lower rate. One without weights trains from pixels.

    Args:
        model: What to build.
        train: How to train it.
        data: What to train on.
        on_epoch: Called after each epoch with its number, from 0, and its metrics.
        checkpoint: Where a killed training goes on; it ends with the weights of one that nobody
            disturbed. Defaults to None: training starts anew, and leaves nothing.
        deadline: When to stop, by `time.monotonic`, after the epoch in which that is.

    Raises:
        TrainingDiverged: The loss became NaN or infinite.
        TrainingInfeasible: There is no memory for the features, or to train on a single picture.
        UserError: There is no such backbone, or its weights are missing.
    """
    started, feature_seconds = time.monotonic(), data.features.seconds
    keras_setup.seed(train.seed)
    # Or a search would keep every network it tried in memory. Python collects what that releases by
    # itself; at each trial, with all of TensorFlow loaded, it would take a fifth of a head's time.
    keras.backend.clear_session(free_memory=False)
    backbones.get(model.backbone).check(data.training.shards.size, model.unfrozen_blocks)
    parts = _build(model, data)
    keras_setup.seed(train.seed)  # again: a network from an earlier trial drew no random weights
    phases = Phases(train, on_epoch, checkpoint or Checkpoint(None), deadline)
    if parts.frozen is None:
        fitted = _fit_whole(model, data, parts, phases)
    else:
        fitted = _fit_head(model, data, parts, phases)
        if model.unfrozen_blocks:
            fitted = _fit_blocks(model, data, fitted, phases)
    last = phases.history[-1]
    logits = _predict(fitted.network, fitted.inputs, last)
    validation = fitted.inputs.validation
    pooled = parts.frozen is not None and not model.unfrozen_blocks
    features = validation.inputs.take if pooled else None
    rows = held_out.table(fitted.inputs.index, validation.targets, data.labels, logits, features)
    outputs = keras.layers.Softmax(name="probabilities")(fitted.head(fitted.whole.output))
    return Trained(
        model=keras.Model(fitted.whole.input, outputs, name="recogniser"),
        labels=data.labels,
        history=pd.DataFrame(phases.history),
        validation=Score.of(
            np.stack(rows["probabilities"]), positions(rows["species"], data.labels)
        ),
        held_out=rows,
        stopped=fitted.stopped,
        network=model,
        training=replace(train, batch_size=last["batch_size"]),
        seconds=time.monotonic() - started,
        feature_seconds=data.features.seconds - feature_seconds,
        cached=data.features.cached,
    )


@dataclass(frozen=True)
class _Fitted:
    """The result of a phase of training.

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


def _build(model: NetworkSettings, data: TrainingData) -> backbones.Parts:
    """Builds a backbone; a frozen one is built once, for the trials of a search share it."""
    key = model.backbone, model.weights
    if key in data.networks:
        return data.networks[key]
    size = data.training.shards.size
    parts = backbones.get(model.backbone).build(size, weights=model.weights)
    if parts.frozen is not None:
        data.networks[key] = parts
        names = model.backbone.split("+")  # those side by side also stand alone
        for name, tower in zip(names, backbones.towers(parts.frozen), strict=False):
            alone = backbones.Parts(tower, frozen=tower, trainable=None)
            data.networks.setdefault((name, model.weights), alone)
    return parts


def _fit_whole(
    model: NetworkSettings, data: TrainingData, parts: backbones.Parts, phases: Phases
) -> _Fitted:
    """Trains a network without weights from pixels."""
    channels = parts.whole.output.shape[-1]
    head = heads.build(channels, len(data.labels), model.hidden, model.dropout)
    network = keras.Model(parts.whole.input, head(parts.whole.output))
    inputs = _fit_inputs(data, None, folded=False)
    stopped = phases.run("whole", network, inputs, phases.train.learning_rate)
    return _Fitted(parts.whole, head, network, inputs, stopped)


def _fit_head(
    model: NetworkSettings, data: TrainingData, parts: backbones.Parts, phases: Phases
) -> _Fitted:
    """Trains a head on the features of a frozen network, or a head for each fold side by side."""
    channels, labels = parts.whole.output.shape[-1], len(data.labels)
    # Blocks differ from head to head once they are trained, and cost minutes each.
    fold = None if model.unfrozen_blocks else data.fold
    folded, count = fold is not None, None if fold is None else int(fold.max()) + 1
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
    model: NetworkSettings, data: TrainingData, fitted: _Fitted, phases: Phases
) -> _Fitted:
    """Trains the top blocks of a network below a head that is trained already."""
    parts = backbones.get(model.backbone).build(
        data.training.shards.size,
        weights=model.weights,
        unfrozen_blocks=model.unfrozen_blocks,
    )
    trainable = parts.trainable
    assert trainable is not None, "blocks are unfrozen"
    network = keras.Model(trainable.input, fitted.head(trainable.output))
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
    size = validation_batch(last["phase"], last["batch_size"])
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    taken = (keras.ops.convert_to_numpy(network(validation.inputs.take(part))) for part in parts)
    logits = np.concatenate(list(taken))
    return logits if validation.fold is None else logits[rows, validation.fold]
