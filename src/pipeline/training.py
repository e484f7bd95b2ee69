"""Training a recogniser: a head on features of a frozen network, deeper blocks, or all of it."""

import hashlib
import importlib.metadata
import json
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
        cache: Folder for features and exported networks; safe to delete at any time.
        ranges: How far copies may differ that are drawn while training.
    """

    training: Pictures
    validation: Pictures
    labels: tuple[str, ...]
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
        splits = pd.read_parquet(split).set_index("photo")["split"]
        chosen = np.flatnonzero(shards.index["photo"].map(splits) == "validation")
        validation = Pictures(shards, chosen)
        labels = tuple(sorted(training.index["species"].unique()))
        if unknown := set(validation.species) - set(labels):
            raise UserError(f"no training photos of {', '.join(sorted(unknown))}; change the split")
        if not len(chosen):
            raise UserError("the validation split is empty; raise split.validation or add photos")
        everything = Pictures(training, np.arange(len(training)))
        return cls(everything, validation, labels, cache, ranges)

    def digest(self) -> str:
        """The sha256 of all that training sees, as hexadecimal digits."""
        digest = hashlib.sha256(repr((self.labels, self.ranges)).encode())
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
        validation: Score on the validation split.
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
    stopped: str
    model_params: params.Model
    train_params: params.Train
    seconds: float
    cached: str

    def __str__(self) -> str:
        told = (self.stopped, f"validation {self.validation}", f"{self.seconds:.0f} s", self.cached)
        return "; ".join(told)

    def save(self, folder: Path, run_id: str, more: dict[str, str] | None = None) -> None:
        """Writes `model.keras`, `history.csv` and `run.json`.

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
    head = _head(keras, parts.whole.output.shape[-1], model, len(data.labels))
    history: list[dict] = []
    kept = kept or checkpoints.Checkpoint(None)
    run = partial(
        _run_in_memory, keras, train=train, data=data, history=history, on_epoch=on_epoch, kept=kept
    )
    if parts.frozen is None:
        trunk = keras.Model(parts.whole.input, head(parts.whole.output))
        stopped = run("whole", trunk, None, 1.0)
    else:
        trunk = head
        stopped = run("head", trunk, parts.frozen, 1.0)
        if model.unfrozen_blocks:
            blocks = model.unfrozen_blocks
            parts = backbone.build(size, weights=model.weights, unfrozen_blocks=blocks)
            trunk = keras.Model(parts.trainable.input, head(parts.trainable.output))
            stopped = run("blocks", trunk, parts.frozen, train.fine_tune_rate)
    inputs = data.inputs(parts.frozen)[1]
    probabilities = _softmax(_predict(keras, trunk, inputs, len(data.validation.positions)))
    answers = keras.layers.Softmax(name="probabilities")(head(parts.whole.output))
    return Trained(
        model=keras.Model(parts.whole.input, answers, name=model.backbone),
        labels=data.labels,
        history=pd.DataFrame(history),
        validation=Score.of(probabilities, data.targets(data.validation)),
        stopped=stopped,
        model_params=model,
        train_params=train.model_copy(update={"batch_size": history[-1]["batch_size"]}),
        seconds=time.monotonic() - began,
        cached=data.cached,
    )


def _head(keras: Any, channels: int, model: params.Model, labels: int) -> "keras.Model":
    layers = [keras.Input((channels,)), keras.layers.Dropout(model.dropout)]
    if model.hidden:
        layers += [
            keras.layers.Dense(model.hidden, activation="relu"),
            keras.layers.Dropout(model.dropout),
        ]
    return keras.Sequential([*layers, keras.layers.Dense(labels, name="logits")], name="head")


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
    phase: str,
    trunk: "keras.Model",
    frozen: "keras.Model | None",
    rate: float,
    train: params.Train,
    data: Data,
    history: list[dict],
    on_epoch: OnEpoch,
    kept: checkpoints.Checkpoint,
) -> str:
    """Trains `trunk` on what `frozen` says, adds to `history`, and says why it ended."""
    if kept.is_past(phase):
        return "done before"
    reached = kept.take()
    first = reached["epochs"] if reached else 0
    if reached:
        history[:] = reached["history"]
        train = train.model_copy(update={"batch_size": reached["batch_size"]})
    inputs, validation_inputs = data.inputs(frozen)
    labels = len(data.labels)
    targets, held_out = data.targets(data.training), data.targets(data.validation)
    of = max(1, len(devices.together()))
    alter = data.alter if frozen is None else None
    batches = objective.batches(inputs, targets, labels, train.batch_size, of, train, alter)
    checks = objective.batches(validation_inputs, held_out, labels, _BATCH_TO_PREDICT, of)

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
    return f"all {train.epochs} epochs done; {best}"


def _predict(keras: Any, trunk: "keras.Model", inputs: Any, count: int) -> np.ndarray:
    rows = np.arange(count)
    parts = [rows[i : i + _BATCH_TO_PREDICT] for i in range(0, count, _BATCH_TO_PREDICT)]
    return np.concatenate([keras.ops.convert_to_numpy(trunk(inputs.take(p))) for p in parts])


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
