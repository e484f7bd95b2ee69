"""Training a recogniser: a head on features of a frozen network, deeper blocks, or all of it."""

import hashlib
import importlib.metadata
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.core import atomic, params
from pipeline.core.errors import UserError
from pipeline.core.progress import Progress
from pipeline.networks import backbones, devices, heads, keras_setup
from pipeline.train import batches as batching
from pipeline.train import checkpoints, datasets, early_stopping, losses, schedules
from pipeline.train.metrics import Score

if TYPE_CHECKING:
    import keras

OnEpoch = Callable[[int, dict[str, float]], None]
HELD_OUT = "held_out.parquet"
_BATCH_TO_JUDGE = {"head": 1024, "blocks": 64, "whole": 64}


class Unfit(UserError):
    """With these params nothing can be trained here."""


class Diverged(Unfit):
    """The loss is no number any more."""


@dataclass(frozen=True)
class Trained:
    """A trained recogniser.

    Attributes:
        model: From RGB pixels in 0 to 255, (n, size, size, 3), to probabilities, (n, species).
        labels: The species, in the order of the probabilities.
        history: A row an epoch: phase, epoch, batch_size, loss, accuracy, val_loss, val_accuracy,
            learning_rate, pictures_per_second, seconds.
        validation: Score on the pictures held out: those of the validation split, or with folds
            also those of the training split, each judged by the head that did not learn from it.
        held_out: Their photo, split and species, the probabilities, in the order of `labels`, and
            whether the most probable species is right.
        stopped: Why training ended, in words.
        model_params: What it was built from.
        train_params: What it was trained with. Its `batch_size` is the one that memory was found
            for.
        seconds: How long that took, features and all.
        waited: How many of them went to features, computed or read.
        cached: What had not to be computed, in words.
    """

    model: "keras.Model"
    labels: tuple[str, ...]
    history: pd.DataFrame
    validation: Score
    held_out: pd.DataFrame
    stopped: str
    model_params: params.Model
    train_params: params.Train
    seconds: float
    waited: float
    cached: str

    def __str__(self) -> str:
        told = (self.stopped, f"validation {self.validation}", f"{self.seconds:.0f} s", self.cached)
        return "; ".join(told)

    def save(self, folder: Path, run_id: str, more: dict[str, str] | None = None) -> None:
        """Writes `model.keras`, `history.csv`, `held_out.parquet` and `run.json`.

        Args:
            folder: Where; it appears whole.
            run_id: The MLflow run that trained it.
            more: Further text files for the folder, by name.
        """
        run = {
            "run_id": run_id,
            "labels": self.labels,
            "validation": asdict(self.validation),
            "model": self.model_params.model_dump(),
            "train": self.train_params.model_dump(),
            "stopped": self.stopped,
        }
        with atomic.whole(folder) as partial:
            partial.mkdir()
            self.model.save(partial / "model.keras")
            self.history.to_csv(partial / "history.csv", index=False)
            atomic.write_table(self.held_out, partial / HELD_OUT)
            (partial / "run.json").write_text(json.dumps(run, indent=2) + "\n")
            for name, text in (more or {}).items():
                (partial / name).write_text(text)


def code(*more: str) -> list[str]:
    """What the weights depend on besides the params and the data, as digests and versions; `more`
    names further folders to count."""
    library = Path(__file__).parents[1]
    folders = ("augment", "inference", "networks", "train", *more)
    files = [file for name in folders for file in sorted((library / name).rglob("*.py"))]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return [*digests, *map(importlib.metadata.version, ("tensorflow", "keras"))]


def content(model: params.Model) -> dict[str, Any]:
    """A network's params, a file of weights by its content."""
    file = Path(model.weights)
    weights = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else model.weights
    return model.model_dump() | {"weights": weights}


def checkpoint(
    model: params.Model, train: params.Train, data: datasets.Data
) -> checkpoints.Checkpoint:
    """What a killed `fit` of the same had reached; it goes by content."""
    all_that_decides = [data.digest(), content(model), train.model_dump(), code()]
    folder = data.cache / "checkpoints"
    return checkpoints.Checkpoint.of(folder, [*all_that_decides, devices.training_gpus()])


def fit(
    model: params.Model,
    train: params.Train,
    data: datasets.Data,
    on_epoch: OnEpoch = lambda *_: None,
    kept: checkpoints.Checkpoint | None = None,
    ends: float = math.inf,
) -> Trained:
    """Trains a recogniser and stops when validation no longer improves.

    A pretrained backbone is frozen and its features are computed once, so that a head trains in
    seconds; unfrozen blocks follow afterwards from cached activations, at a lower rate. All blocks
    of a backbone, and one without weights, train from pixels, and see no copy twice.

    Args:
        model: What to build.
        train: How to train it.
        data: What to learn from.
        on_epoch: Called after each epoch with its number, from 0, and its metrics.
        kept: What `checkpoint` gave: the training goes on from there, and ends with the weights of
            one that nobody disturbed. Defaults to None: it starts anew, and leaves nothing.
        ends: When to stop, as `time.monotonic` tells it, after the epoch in which that is. Defaults
            to never.

    Raises:
        Diverged: The loss is no number any more.
        Unfit: There is no memory for the features, or to train on a single picture.
        UserError: There is no such backbone, or its weights are not at hand.
    """
    began, waited = time.monotonic(), data.seconds
    keras = keras_setup.keras(train.seed)
    keras.backend.clear_session()  # or a search would keep every network it tried
    size = data.training.shards.size
    backbones.get(model.backbone).check(size, model.unfrozen_blocks)
    parts = _network(model, data)
    keras_setup.keras(train.seed)  # again: a network that was at hand has drawn no random weights
    channels, labels = parts.whole.output.shape[-1], len(data.labels)
    history: list[dict] = []
    kept = kept or checkpoints.Checkpoint(None)
    run = partial(
        _run_in_memory,
        keras,
        labels,
        train=train,
        history=history,
        on_epoch=on_epoch,
        kept=kept,
        ends=ends,
    )
    if parts.frozen is None:
        head = heads.build(keras, channels, model, labels)
        trunk = keras.Model(parts.whole.input, head(parts.whole.output))
        lesson = _lesson(data, None, folded=False)
        stopped = run(trunk, lesson, 1.0, phase="whole")
    else:
        # Blocks differ from head to head once they are trained, and cost minutes each.
        folded = data.fold is not None and not model.unfrozen_blocks
        count = int(data.fold.max()) + 1 if folded else None
        trunk = heads.build(keras, channels, model, labels, count)
        lesson = _lesson(data, parts.frozen, folded)
        stopped = run(trunk, lesson, 1.0, phase="head")
        if folded:
            head = heads.merged(keras, trunk, model, labels)
        else:  # another one, without the optimizer, which would be saved with it
            head = heads.build(keras, channels, model, labels)
            head.set_weights(trunk.get_weights())
        if model.unfrozen_blocks:
            blocks = model.unfrozen_blocks
            backbone = backbones.get(model.backbone)
            parts = backbone.build(size, weights=model.weights, unfrozen_blocks=blocks)
            trunk = keras.Model(parts.trainable.input, head(parts.trainable.output))
            lesson = _lesson(data, parts.frozen, folded=False)
            stopped = run(trunk, lesson, train.fine_tune_rate, phase="blocks")
    probabilities = _softmax(_predict(keras, trunk, lesson, history[-1]))
    answers = keras.layers.Softmax(name="probabilities")(head(parts.whole.output))
    species = np.array(data.labels)[lesson.check_targets]
    return Trained(
        model=keras.Model(parts.whole.input, answers, name="recogniser"),
        labels=data.labels,
        history=pd.DataFrame(history),
        validation=Score.of(probabilities, lesson.check_targets),
        held_out=lesson.about.assign(
            species=species,
            probabilities=list(probabilities),
            right=probabilities.argmax(axis=1) == lesson.check_targets,
        ),
        stopped=stopped,
        model_params=model,
        train_params=train.model_copy(update={"batch_size": history[-1]["batch_size"]}),
        seconds=time.monotonic() - began,
        waited=data.seconds - waited,
        cached=data.cached,
    )


def _network(model: params.Model, data: datasets.Data) -> backbones.Parts:
    """A backbone; a frozen one is built once, for the trials of a search share it."""
    key = model.backbone, model.weights
    if key in data.networks:
        return data.networks[key]
    size = data.training.shards.size
    parts = backbones.get(model.backbone).build(size, weights=model.weights)
    if parts.frozen is not None:
        data.networks[key] = parts
    return parts


def _lesson(data: datasets.Data, frozen: "keras.Model | None", folded: bool) -> datasets.Lesson:
    try:
        return data.lesson(frozen, folded)
    except Exception as error:
        if not keras_setup.out_of_memory(error):
            raise
        raise Unfit(
            "there is no memory for the features of all pictures; lower augment.copies, "
            "resize.size or model.unfrozen_blocks"
        ) from None


def _run_in_memory(
    *args: Any,
    phase: str,
    train: params.Train,
    history: list[dict],
    kept: checkpoints.Checkpoint,
    **others: Any,
) -> str:
    """`_run`, from where a killed one was, with half the batch wherever there is no memory for it;
    what was learned up to the last epoch's end stays."""
    if kept.is_past(phase):
        return "done before"
    reached = kept.take()
    if reached:
        history[:] = reached["history"]
        train = train.model_copy(update={"batch_size": reached["batch_size"]})
    others |= {"phase": phase, "history": history, "kept": kept}
    while True:
        keras_setup.keras(train.seed)  # so what random layers draw does not tell how many attempts
        try:
            return _run(*args, train=train, reached=reached, **others)
        except Exception as error:
            if not keras_setup.out_of_memory(error):
                raise
            size, half, reached = train.batch_size, train.batch_size // 2, None
        if not half:
            raise Unfit(
                "there is no memory to train on one picture at a time; "
                "lower resize.size or take a smaller model.backbone"
            )
        print(f"no memory for batches of {size} pictures: going on with {half}", flush=True)
        train = train.model_copy(update={"batch_size": half})


def _run(
    keras: Any,
    labels: int,
    trunk: "keras.Model",
    lesson: datasets.Lesson,
    rate: float,
    phase: str,
    train: params.Train,
    history: list[dict],
    on_epoch: OnEpoch,
    kept: checkpoints.Checkpoint,
    reached: dict[str, Any] | None,
    ends: float,
) -> str:
    """Teaches `trunk` a lesson, adds to `history`, and says why it ended."""
    first = reached["epochs"] if reached else 0
    targets = lesson.targets
    of = max(1, len(devices.training_gpus()))
    batches = batching.batches(
        lesson.inputs,
        targets,
        labels,
        train.batch_size,
        of,
        train,
        alter=lesson.alter,
        fold=lesson.fold,
        first=first,
    )
    checks = batching.batches(
        lesson.checks,
        lesson.check_targets,
        labels,
        _batch_to_judge(phase, train.batch_size),
        fold=lesson.check_fold,
    )

    ready = checks
    if phase == "head":  # features are small, if not beside a GPU's memory
        with keras.device("cpu"):
            ready = [tuple(map(keras.ops.convert_to_tensor, batch)) for batch in checks]
    steps = len(batches)
    schedule = schedules.rates(train, train.learning_rate * rate, steps)
    descent = partial(keras.optimizers.AdamW, schedule, weight_decay=train.weight_decay)
    # Between a head's steps, of some milliseconds, there is nothing to do: a quarter of its time.
    at_once = steps if phase == "head" else 1
    learner = devices.compiled(trunk, train.precision, descent, losses.loss(train), at_once)
    pictures, size = len(targets), train.batch_size
    progress = Progress((train.epochs - first) * pictures, f"train {phase}", "pictures", False)
    before = len(history) - first
    started = time.monotonic() - (history[-1]["seconds"] if history else 0)
    learned = trunk.get_weights()

    def begin(epoch: int, logs: dict[str, float]) -> None:
        learned[:] = learner.get_weights()

    def record(epoch: int, logs: dict[str, float]) -> None:
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            raise Diverged(
                f"the loss is {logs['loss']} in epoch {epoch + 1} and {logs['val_loss']} on "
                f"validation; lower train.learning_rate ({train.learning_rate:g})"
            )
        metrics = {name: float(value) for name, value in logs.items()}
        metrics["learning_rate"] = float(schedule(learner.optimizer.iterations))
        metrics["seconds"] = round(time.monotonic() - started, 3)
        lasted = max(1e-3, metrics["seconds"] - (history[-1]["seconds"] if history else 0))
        metrics["pictures_per_second"] = round(pictures / lasted, 1)
        number = before + epoch
        history.append({"phase": phase, "epoch": number, "batch_size": size, **metrics})
        judged = f"accuracy {logs['accuracy']:.4f}, validation {logs['val_accuracy']:.4f}"
        progress.said = f"epoch {epoch + 1}/{train.epochs}, loss {logs['loss']:.4f}, {judged}"
        on_epoch(number, metrics)
        if time.monotonic() > ends:
            learner.stop_training = True

    stopping = early_stopping.stopping(ready, train.patience)
    keep = kept.callback(keras, reached, stopping, phase=phase, batch_size=size, history=history)
    has_stopped = reached and reached["stopping"]["stopped_epoch"]
    reporting = keras.callbacks.LambdaCallback(
        on_epoch_begin=begin,
        on_train_batch_begin=lambda i, logs: progress.advance(
            min(size * at_once, pictures - i * size)
        ),
        on_epoch_end=record,
    )
    try:
        with progress:
            learner.fit(
                devices.feed(batches),
                initial_epoch=train.epochs if has_stopped else first,
                epochs=train.epochs,
                steps_per_epoch=steps,
                shuffle=False,  # Keras would shuffle batches by a generator no checkpoint knows
                verbose=0,
                callbacks=[stopping, reporting, keep],
            )
    except Exception:
        trunk.set_weights(learned)
        raise
    finally:
        batches.close()
        checks.close()
    if learner is not trunk:
        trunk.set_weights(learner.get_weights())
    best = f"weights of epoch {before + stopping.best_epoch + 1} kept"
    if stopping.stopped_epoch:
        epochs = f"epoch {before + stopping.stopped_epoch + 1}"
        return f"{epochs}: no lower validation loss for {train.patience} epochs; {best}"
    if learner.stop_training:
        return f"time was up; {best}"
    return f"all {train.epochs} epochs done; {best}"


def _batch_to_judge(phase: str, batch_size: int) -> int:
    """How many pictures are judged at once; fewer where there was no memory to train on many."""
    return min(_BATCH_TO_JUDGE[phase], 4 * batch_size)


def _predict(keras: Any, trunk: "keras.Model", lesson: datasets.Lesson, last: dict) -> np.ndarray:
    """Logits of what is held out, (n, labels), each from the head that did not learn from it; the
    last epoch's phase and size of a batch say how many pictures there is memory for."""
    rows = np.arange(len(lesson.check_targets))
    size = _batch_to_judge(last["phase"], last["batch_size"])
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    taken = (keras.ops.convert_to_numpy(trunk(lesson.checks.take(part))) for part in parts)
    logits = np.concatenate(list(taken))
    return logits if lesson.check_fold is None else logits[rows, lesson.check_fold]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
