"""Training a recogniser: a head on features of a frozen network, deeper blocks, or all of it."""

import hashlib
import importlib.metadata
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline import (
    augment,
    backbones,
    checkpoints,
    devices,
    engine,
    export,
    features,
    objective,
    outputs,
    params,
)
from pipeline.errors import UserError
from pipeline.progress import Progress
from pipeline.scores import Score
from pipeline.shards import LENGTH, Shards

if TYPE_CHECKING:
    import keras

OnEpoch = Callable[[int, dict[str, float]], None]
Alter = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
HELD_OUT = "held_out.parquet"
_BATCH_TO_PREDICT = 64


class Diverged(UserError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class Pictures:
    """Some pictures of a folder of shards.

    Attributes:
        shards: The folder.
        positions: Which of its pictures, int (n,).
    """

    shards: Shards
    positions: np.ndarray

    @property
    def species(self) -> pd.Series:
        return self.shards.index["species"].iloc[self.positions]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (n, size, size, 3)."""
        return self.shards.take(self.positions[rows])

    @property
    def copies(self) -> np.ndarray:
        """For each picture its number among the copies of its photo, from 0, the photo itself."""
        return self.shards.index["copy"].to_numpy()[self.positions]


@dataclass(frozen=True)
class Data:
    """What training learns from and is stopped by. The test split is no part of it.

    Attributes:
        training: The training pictures and their altered copies.
        validation: The validation pictures.
        labels: Species in the order of the network's answers: sorted, those of the training split.
        fold: Of each training picture and then each validation picture, int (n,); None if they are
            not to be mixed.
        cache: Folder for features and exported networks; safe to delete at any time.
        ranges: How far copies may differ that are drawn while training.
    """

    training: Pictures
    validation: Pictures
    labels: tuple[str, ...]
    fold: np.ndarray | None
    cache: Path
    ranges: augment.Ranges
    _memory: dict = field(default_factory=dict, repr=False, compare=False)
    _known: dict = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(
        cls, augmented: Path, resized: Path, split: Path, cache: Path, ranges: augment.Ranges
    ) -> "Data":
        """Opens what augment, resize and split wrote.

        Raises:
            UserError: A species has validation photos and no training photos.
        """
        training, shards = Shards(augmented), Shards(resized)
        table = pd.read_parquet(split).set_index("photo")
        chosen = np.flatnonzero(shards.index["photo"].map(table["split"]) == "validation")
        validation = Pictures(shards, chosen)
        labels = tuple(sorted(training.index["species"].unique()))
        if unknown := set(validation.species) - set(labels):
            raise UserError(f"no training photos of {', '.join(sorted(unknown))}; change the split")
        if not len(chosen):
            raise UserError("the validation split is empty; raise split.validation or add photos")
        known = pd.concat([training.index["photo"], shards.index["photo"].iloc[chosen]])
        fold = known.map(table["fold"])
        fold = None if fold.isna().any() else fold.to_numpy(dtype=np.int64)
        everything = Pictures(training, np.arange(len(training)))
        return cls(everything, validation, labels, fold, cache, ranges)

    def digest(self) -> str:
        """The sha256 of all that training sees, as hexadecimal digits."""
        fold = None if self.fold is None else self.fold.tolist()
        digest = hashlib.sha256(repr((self.labels, fold, self.ranges)).encode())
        for pictures in (self.training, self.validation):
            digest.update(pictures.species.str.cat(sep="\n").encode())
            rows = np.arange(len(pictures.positions))
            for start in range(0, len(rows), LENGTH):
                digest.update(pictures.take(rows[start : start + LENGTH]))
        return digest.hexdigest()

    def alter(self, photos: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws copies of training photos anew, and leaves the photos themselves as they are.

        Args:
            photos: uint8 (n, size, size, 3).
            rows: Which training pictures they are in place of, int (n,).
            rng: What chance decides.

        Returns:
            uint8 (n, size, size, 3).
        """
        return np.stack(
            [
                augment.altered(photo, augment.draw(self.ranges, rng)) if copy else photo
                for photo, copy in zip(photos, self.training.copies[rows], strict=True)
            ]
        )

    def targets(self, pictures: Pictures) -> np.ndarray:
        """Positions in `labels`, int (n,)."""
        return pictures.species.map({name: i for i, name in enumerate(self.labels)}).to_numpy()

    def inputs(self, frozen: "keras.Model | None") -> tuple[Any, Any]:
        """What is trained on: pixels, or what a frozen network says of them.

        Args:
            frozen: From pixels to where training starts; None to train from pixels.

        Returns:
            Training and validation inputs, each with `take(rows)`. Of pixels, in place of a copy
            its photo, for `alter` to copy anew.
        """
        if frozen is None:
            photos = self.training.positions - self.training.copies  # copies follow their photo
            return Pictures(self.training.shards, photos), self.validation
        model = export.cached(frozen, self.cache / "litert")
        if model not in self._memory:
            for known, (first, _) in list(self._memory.items()):
                if first.values.ndim > 2:  # pooled features are small; of maps only one is kept
                    del self._memory[known]
            found = [
                features.extract(model, p.shards, p.positions, self.cache / "features", name)
                for name, p in (("training", self.training), ("validation", self.validation))
            ]
            self._memory[model] = tuple(_Rows(values) for values, _ in found)
            self._known[model] = sum(known for _, known in found)
        return self._memory[model]

    @property
    def cached(self) -> str:
        """What had not to be computed, in words."""
        if not self._known:
            return "trained from pixels, nothing cached"
        asked = len(self._known) * (len(self.training.positions) + len(self.validation.positions))
        return f"features: {sum(self._known.values())} of {asked} were cached"

    def lesson(self, frozen: "keras.Model | None", folded: bool) -> "Lesson":
        """What a network learns from and is judged by.

        Args:
            frozen: As for `inputs`.
            folded: Whether heads side by side learn from folds of the training and the validation
                pictures; else one learns from the former and is judged by the latter.
        """
        learned, held_out = self.inputs(frozen)
        targets, held_targets = self.targets(self.training), self.targets(self.validation)
        photos = self.validation.shards.index["photo"].iloc[self.validation.positions]
        about = pd.DataFrame({"photo": photos, "split": "validation"})
        if not folded:
            alter = self.alter if frozen is None else None
            return Lesson(learned, targets, None, held_out, held_targets, None, about, alter)
        pool = _Rows(np.concatenate([learned.values, held_out.values]))
        targets = np.concatenate([targets, held_targets])
        index = self.training.shards.index.iloc[self.training.positions]
        about = pd.concat([index.assign(split="train"), about.assign(copy=0)], ignore_index=True)
        originals = np.flatnonzero(about["copy"] == 0)
        return Lesson(
            pool,
            targets,
            self.fold,
            _Rows(pool.take(originals)),
            targets[originals],
            self.fold[originals],
            about.loc[originals, ["photo", "split"]],
        )


@dataclass(frozen=True)
class Lesson:
    """What a network learns from and is judged by.

    Attributes:
        inputs: What it learns from, with `take(rows)`.
        targets: Their positions in the labels, int (n,).
        fold: Of each, the head that does not learn from it; None if there is but one network.
        checks: What it is judged by, likewise; altered copies are not among them.
        check_targets: Likewise.
        check_fold: Of each, the head that is judged by it.
        about: photo and split of each check.
        alter: As for `objective.batches`. Defaults to None.
    """

    inputs: Any
    targets: np.ndarray
    fold: np.ndarray | None
    checks: Any
    check_targets: np.ndarray
    check_fold: np.ndarray | None
    about: pd.DataFrame
    alter: Alter | None = None


@dataclass(frozen=True)
class _Rows:
    values: np.ndarray

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.values[rows]


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
        held_out: Their photo, split and species, and the probabilities, in the order of `labels`.
        stopped: Why training ended, in words.
        model_params: What it was built from.
        train_params: What it was trained with. Its `batch_size` is the one that memory was found
            for.
        seconds: How long that took, features and all.
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
        with outputs.whole(folder) as partial:
            partial.mkdir()
            self.model.save(partial / "model.keras")
            self.history.to_csv(partial / "history.csv", index=False)
            outputs.write_table(self.held_out, partial / HELD_OUT)
            (partial / "run.json").write_text(json.dumps(run, indent=2) + "\n")
            for name, text in (more or {}).items():
                (partial / name).write_text(text)


def code() -> list[str]:
    """What the weights depend on besides the params and the data, as digests and versions."""
    here = Path(__file__).parent
    names = ["augment", "checkpoints", "devices", "features", "objective", "training"]
    files = [*(here / f"{name}.py" for name in names), *sorted(here.glob("backbones/*.py"))]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return [*digests, *map(importlib.metadata.version, ("tensorflow", "keras"))]


def checkpoint(model: params.Model, train: params.Train, data: Data) -> checkpoints.Checkpoint:
    """What a killed `fit` of the same had reached; it goes by content."""
    content = [data.digest(), model.model_dump(), train.model_dump(), code()]
    if Path(model.weights).is_file():
        content.append(hashlib.sha256(Path(model.weights).read_bytes()).hexdigest())
    return checkpoints.Checkpoint.of(data.cache / "checkpoints", content)


def fit(
    model: params.Model,
    train: params.Train,
    data: Data,
    on_epoch: OnEpoch = lambda *_: None,
    kept: checkpoints.Checkpoint | None = None,
    ends: float = math.inf,
) -> Trained:
    """Trains a recogniser and stops when validation no longer improves.

    A pretrained backbone is frozen and its features are computed once, so that a head trains in
    seconds; unfrozen blocks follow afterwards from cached activations, at a lower rate. A backbone
    without weights trains whole, from pixels, and sees no copy twice.

    Args:
        model: What to build.
        train: How to train it.
        data: What to learn from.
        on_epoch: Called after each epoch with its number, from 0, and its metrics.
        kept: What `checkpoint` gave: the training goes on from there, and ends with the weights of
            one that nobody disturbed. Defaults to None: it starts anew, and leaves nothing.
        ends: When to stop at the latest, as `time.monotonic` tells it. Defaults to never.

    Raises:
        Diverged: The loss is no number any more.
        UserError: There is no such backbone, or its weights are not at hand.
    """
    began = time.monotonic()
    keras = engine.keras(train.seed)
    keras.backend.clear_session()  # or a search would keep every network it tried
    backbone = backbones.get(model.backbone)
    size = data.training.shards.size
    parts = backbone.build(size, weights=model.weights)
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
        head = _head(keras, channels, model, labels)
        trunk = keras.Model(parts.whole.input, head(parts.whole.output))
        lesson = data.lesson(None, folded=False)
        stopped = run("whole", trunk, lesson, 1.0)
        logits = _predict(keras, trunk, lesson)
    else:
        # Blocks differ from head to head once they are trained, and cost minutes each.
        folded = data.fold is not None and not model.unfrozen_blocks
        count = data.fold.max() + 1 if folded else None
        heads = _head(keras, channels, model, labels, count)
        lesson = data.lesson(parts.frozen, folded)
        stopped = run("head", heads, lesson, 1.0)
        logits = _predict(keras, heads, lesson)
        head = _merged(keras, heads, model, labels) if folded else heads
        if model.unfrozen_blocks:
            blocks = model.unfrozen_blocks
            parts = backbone.build(size, weights=model.weights, unfrozen_blocks=blocks)
            trunk = keras.Model(parts.trainable.input, head(parts.trainable.output))
            lesson = data.lesson(parts.frozen, folded=False)
            stopped = run("blocks", trunk, lesson, train.fine_tune_rate)
            logits = _predict(keras, trunk, lesson)
    probabilities = _softmax(logits)
    answers = keras.layers.Softmax(name="probabilities")(head(parts.whole.output))
    species = np.array(data.labels)[lesson.check_targets]
    return Trained(
        model=keras.Model(parts.whole.input, answers, name=model.backbone),
        labels=data.labels,
        history=pd.DataFrame(history),
        validation=Score.of(probabilities, lesson.check_targets),
        held_out=lesson.about.assign(species=species, probabilities=list(probabilities)),
        stopped=stopped,
        model_params=model,
        train_params=train.model_copy(update={"batch_size": history[-1]["batch_size"]}),
        seconds=time.monotonic() - began,
        cached=data.cached,
    )


def _head(
    keras: Any, channels: int, model: params.Model, labels: int, count: int | None = None
) -> "keras.Model":
    """From features (n, channels) to logits (n, labels), or of `count` heads (n, count, labels)."""
    layers = keras.layers
    if count is None:
        hidden = partial(layers.Dense, model.hidden)
        logits = layers.Dense(labels, name="logits")
    else:
        equation = "nkd,kdc->nkc" if model.hidden else "nd,kdc->nkc"
        shape = (count, labels)
        logits = layers.EinsumDense(equation, shape, bias_axes="kc", name="logits")
        hidden = partial(layers.EinsumDense, "nd,kdh->nkh", (count, model.hidden), bias_axes="kh")
    between = [hidden(activation="relu"), layers.Dropout(model.dropout)] if model.hidden else []
    first = [keras.Input((channels,)), layers.Dropout(model.dropout)]
    return keras.Sequential([*first, *between, logits], name="head")


def _merged(keras: Any, heads: "keras.Model", model: params.Model, labels: int) -> "keras.Model":
    """One head whose logits are the mean of those of several side by side.

    Linear heads make a linear one; hidden layers stand beside each other in one that is as many
    times wider.
    """
    weights = heads.get_weights()
    count = len(weights[-2])
    if model.hidden:
        kernel, bias = weights[0], weights[1]
        wide = [np.concatenate(kernel, axis=1), bias.ravel()]
        last = np.concatenate(weights[-2]) / count
    else:
        wide, last = [], weights[-2].mean(axis=0)
    channels = heads.input_shape[-1]
    one = model.model_copy(update={"hidden": model.hidden * count})
    head = _head(keras, channels, one, labels)
    head.set_weights([*wide, last, weights[-1].mean(axis=0)])
    return head


def _run_in_memory(*args: Any, train: params.Train, **others: Any) -> str:
    """`_run`, with half the batch wherever there is no memory for it; what was learned stays."""
    while True:
        try:
            return _run(*args, train=train, **others)
        except Exception as error:
            if not engine.out_of_memory(error):
                raise
            size, half = train.batch_size, train.batch_size // 2
        if not half:
            raise UserError(
                "there is no memory to train on one picture at a time; "
                "lower resize.size or take a smaller model.backbone"
            )
        print(f"no memory for batches of {size} pictures: going on with {half}", flush=True)
        train = train.model_copy(update={"batch_size": half})


def _run(
    keras: Any,
    labels: int,
    phase: str,
    trunk: "keras.Model",
    lesson: Lesson,
    rate: float,
    train: params.Train,
    history: list[dict],
    on_epoch: OnEpoch,
    kept: checkpoints.Checkpoint,
    ends: float,
) -> str:
    """Teaches `trunk` a lesson, adds to `history`, and says why it ended."""
    if kept.is_past(phase):
        return "done before"
    reached = kept.take()
    first = reached["epochs"] if reached else 0
    if reached:
        history[:] = reached["history"]
        train = train.model_copy(update={"batch_size": reached["batch_size"]})
    targets = lesson.targets
    of = max(1, len(devices.together()))
    batches = objective.batches(
        lesson.inputs,
        targets,
        labels,
        train.batch_size,
        of,
        train,
        alter=lesson.alter,
        fold=lesson.fold,
    )
    checks = objective.batches(
        lesson.checks, lesson.check_targets, labels, _BATCH_TO_PREDICT, of, fold=lesson.check_fold
    )

    steps, peak = len(batches), train.learning_rate * rate
    warm_up = train.warm_up * steps
    schedule = keras.optimizers.schedules.CosineDecay(
        peak / 10 if warm_up else peak,
        max(1, train.epochs * steps - warm_up),
        alpha=train.final_rate,
        warmup_target=peak if warm_up else None,
        warmup_steps=warm_up,
    )
    average = {"use_ema": True, "ema_momentum": train.averaging} if train.averaging else {}
    descent = partial(keras.optimizers.AdamW, schedule, weight_decay=train.weight_decay, **average)
    learner = devices.compiled(trunk, train.precision, descent, objective.loss(train))
    pictures, size = len(targets), train.batch_size
    progress = Progress((train.epochs - first) * pictures, f"train {phase}", "pictures", False)
    before = len(history) - first
    started = time.monotonic() - (history[-1]["seconds"] if history else 0)

    def record(epoch: int, logs: dict[str, float]) -> None:
        if not np.isfinite(logs["loss"]):
            raise Diverged(
                f"the loss is {logs['loss']} in epoch {epoch + 1}; "
                f"lower train.learning_rate ({train.learning_rate:g})"
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
        trunk.stop_training = time.monotonic() > ends

    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=train.patience, restore_best_weights=True
    )
    keep = kept.callback(keras, reached, stopping, phase=phase, batch_size=size, history=history)
    has_stopped = reached and reached["stopping"]["stopped_epoch"]
    reporting = keras.callbacks.LambdaCallback(
        on_epoch_begin=batches.start,
        on_train_batch_begin=lambda i, logs: progress.advance(min(size, pictures - i * size)),
        on_epoch_end=record,
    )
    averaged = [objective.averaged()] if train.averaging else []
    try:
        with progress:
            learner.fit(
                batches,
                validation_data=checks,
                initial_epoch=train.epochs if has_stopped else first,
                epochs=train.epochs,
                shuffle=False,  # Keras would shuffle batches by a generator no checkpoint knows
                verbose=0,
                callbacks=[reporting, stopping, *averaged, keep],
            )
    finally:
        if learner is not trunk:
            trunk.set_weights(learner.get_weights())
    best = f"weights of epoch {before + stopping.best_epoch + 1} kept"
    if stopping.stopped_epoch:
        epochs = f"epoch {before + stopping.stopped_epoch + 1}"
        return f"{epochs}: no lower validation loss for {train.patience} epochs; {best}"
    if trunk.stop_training:
        return f"time was up; {best}"
    return f"all {train.epochs} epochs done; {best}"


def _predict(keras: Any, trunk: "keras.Model", lesson: Lesson) -> np.ndarray:
    """Logits of what is held out, (n, labels), each from the head that did not learn from it."""
    rows = np.arange(len(lesson.check_targets))
    parts = [rows[i : i + _BATCH_TO_PREDICT] for i in range(0, len(rows), _BATCH_TO_PREDICT)]
    taken = (keras.ops.convert_to_numpy(trunk(lesson.checks.take(part))) for part in parts)
    logits = np.concatenate(list(taken))
    return logits if lesson.check_fold is None else logits[rows, lesson.check_fold]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
