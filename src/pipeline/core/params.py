"""Reads `params.yaml` into typed, frozen objects.

A section of the file is a class here, and a line of it a field. An unknown key, a wrong type or an
impossible value stops the stage with one sentence a mistake, naming line, section and key.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML

from pipeline.core import atomic
from pipeline.core.yaml_file import Section, parse

PATH = Path("params.yaml")
DETECTORS = Path("data/detectors")  # the stage ingest depends on this folder
WEIGHTS = Path("data/weights")  # the stages train and tune depend on this folder
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Flag = Literal[
    "blurred",
    "too_dark",
    "too_bright",
    "one_colour",
    "odd_aspect",
    "tiny_subject",
    "other_sides",
    "wrong_extension",
    "cut_short",
]
BoxSource = Literal["auto", "none", "boxes", "motion", "detector"]
Name = Annotated[str, Field(min_length=1)]


def _listed(value: Any) -> Any:
    """Returns one name as a list of it."""
    return [value] if isinstance(value, str) else value


def _inside(path: str, folder: Path) -> str:
    """Returns the path of a file that a stage depends on by its folder."""
    if not Path(os.path.abspath(path)).is_relative_to(folder.absolute()):  # noqa: PTH100
        raise ValueError(
            f"{path!r} is outside {folder}, and DVC looks there for what has changed: "
            "move it there, or a link to it"
        )
    return path


class Columns(Section):
    """Columns of a person's tables, where they have no usual names."""

    species: Name | Annotated[list[Name], Field(min_length=2)] | None = None
    file: Name | None = None
    folder: Name | None = None
    location: Name | None = None
    time: Name | None = None
    group: Name | None = None
    split: Name | None = None


class Ingest(Section):
    source: Annotated[str, Field(min_length=1)]
    feedback: Annotated[str, Field(min_length=1)]
    species_from: Annotated[str, Field(pattern=r"^(auto|metadata|folder:-?[1-9][0-9]?)$")]
    columns: Columns
    labels: dict[str, Annotated[str, Field(min_length=1)] | None]
    min_side: Annotated[int, Field(ge=8)]
    max_pixels: Annotated[int, Field(ge=4096, le=178_956_970)]  # Pillow refuses more by itself
    min_per_species: Annotated[int, Field(ge=3)]  # one photo for each split
    rare: Literal["stop", "drop", "pool"]
    near_duplicate_bits: Annotated[int, Field(ge=0, le=16)]
    reject: list[Flag]
    event_gap: Annotated[float, Field(ge=0, le=86_400)]
    detector: str
    find: Annotated[list[BoxSource], BeforeValidator(_listed), Field(min_length=1)]

    @field_validator("find")
    @classmethod
    def _alone(cls, sources: list[BoxSource]) -> list[BoxSource]:
        if alone := {"auto", "none"} & {*sources} if len(sources) > 1 else None:
            raise ValueError(f"{min(alone)} stands among others; it must stand alone")
        return sources

    @field_validator("detector")
    @classmethod
    def _where_dvc_looks(cls, detector: str) -> str:
        return _inside(detector, DETECTORS)


class Parallel(Section):
    jobs: Annotated[int, Field(ge=-1)]
    backend: Literal["local", "dask"]
    address: str | None

    @model_validator(mode="after")
    def _has_processes(self) -> "Parallel":
        if self.jobs == 0:
            raise ValueError("jobs is 0; use -1 for every core, or a number of processes")
        if self.backend == "dask" and not self.address:
            raise ValueError("backend is dask; give the address of its scheduler too")
        return self


class Resize(Section):
    size: Annotated[int, Field(ge=32, le=1024)]
    fit: Literal["crop", "pad", "stretch"]
    crop: Literal["auto", "none", "boxes", "views"]
    box_margin: Fraction


class Split(Section):
    by: Literal["group", "location", "time"]
    respect_given: bool
    train: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    folds: Annotated[int, Field(ge=1, le=20)]
    seed: Seed

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Split":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test is {total:g}; it must be 1")
        return self


class Augment(Section):
    copies: Annotated[int, Field(ge=0, le=100)]
    max_copies: Annotated[int, Field(ge=0, le=100)]
    strength: Annotated[float, Field(ge=0, le=2)]
    rotation: Annotated[float, Field(ge=0, le=180)]
    zoom: Fraction
    shift: Annotated[float, Field(ge=0, le=0.5)]
    shear: Annotated[float, Field(ge=0, le=45)]
    flip_horizontal: Fraction
    flip_vertical: Fraction
    brightness: Fraction
    contrast: Fraction
    saturation: Fraction
    hue: Annotated[float, Field(ge=0, le=180)]
    grey: Fraction
    blur: Fraction
    jpeg: Fraction
    cutout: Fraction
    night: Fraction
    resolution: Fraction
    noise: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _max_not_below(self) -> "Augment":
        if self.max_copies < self.copies:
            raise ValueError(f"max_copies is {self.max_copies}, below copies ({self.copies})")
        return self


class Model(Section):
    backbone: str
    weights: str
    unfrozen_blocks: Annotated[int, Field(ge=0)]
    hidden: Annotated[int, Field(ge=0, le=8192)]
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @field_validator("weights")
    @classmethod
    def _known_or_a_file(cls, weights: str) -> str:
        if weights in ("imagenet", "none"):
            return weights
        if not Path(weights).is_file():
            raise ValueError(f"{weights!r} is neither imagenet, none nor the path of a file")
        return _inside(weights, WEIGHTS)


class Train(Section):
    epochs: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    fine_tune_rate: Annotated[float, Field(gt=0, le=1)]
    warm_up: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    balance: Literal["weights", "none"]
    precision: Literal["auto", "float32"]
    seed: Seed


class Options(Section):
    """Values of one line in a search: one of `choices`, or a number from `low` to `high`."""

    choices: Annotated[list[Any], Field(min_length=1)] | None = None
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _one_form(self) -> "Options":
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either choices, or low and high")
        elif self.low is None or self.high is None:
            raise ValueError("give either choices, or both low and high")
        elif self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        elif self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; with `log: true` it must be above 0")
        return self

    def also(self, value: Any) -> "Options":
        """The same with one value more, if it is not among them."""
        if self.choices is None:
            ends = {"low": min(self.low, value), "high": max(self.high, value)}
            return self.model_copy(update=ends)
        more = [] if value in self.choices else [value]
        return self.model_copy(update={"choices": [*self.choices, *more]})

    def has(self, value: Any) -> bool:
        """Tells whether a value is allowed."""
        return self.also(value) == self

    @property
    def extremes(self) -> list[Any]:
        """Values that are allowed if all are."""
        return self.choices if self.choices is not None else [self.low, self.high]


class Tune(Section):
    trials: Annotated[int, Field(ge=1)]
    time_budget: Annotated[float, Field(gt=0)]
    stop_below: Annotated[float, Field(ge=0, le=1)]
    storage: Annotated[str, Field(min_length=1)]
    seed: Seed
    space: dict[str, Options]


class Evaluate(Section):
    precision: Literal["float", "int8"]
    parity: Annotated[int, Field(ge=1)] | Literal["all"]


class Register(Section):
    min_accuracy: Fraction
    min_macro_f1: Fraction
    min_species_recall: Fraction
    max_calibration_error: Fraction
    max_latency_ms: Annotated[float, Field(gt=0)]
    max_size_mb: Annotated[float, Field(gt=0)]
    max_drop: Fraction
    must_be_better: bool


class Params(Section):
    ingest: Ingest
    parallel: Parallel
    resize: Resize
    split: Split
    augment: Augment
    model: Model
    train: Train
    tune: Tune
    evaluate: Evaluate
    register_: Annotated[Register, Field(alias="register")]  # BaseModel has a `register` of its own

    @model_validator(mode="after")
    def _space_names_params(self) -> "Params":
        for name, options in self.tune.space.items():
            section, _, key = name.partition(".")
            known = {"model": Model, "train": Train}.get(section)
            if known is None or key not in known.model_fields:
                raise ValueError(f"tune.space has {name!r}; name a line of `model` or `train`")
            for extreme in options.extremes:
                try:
                    replaced(self, {name: extreme})
                except ValueError as error:
                    raise ValueError(f"tune.space: {error}") from None
            if options.log and (now := value(self, name)) <= 0:
                raise ValueError(
                    f"tune.space searches {name} on a logarithmic scale, which has no {now}; "
                    "set it above 0, or take the line out of the search"
                )
        return self


def load(path: Path = PATH) -> Params:
    """Reads and checks a params file.

    Args:
        path: The file. Defaults to `params.yaml` in the current folder.

    Raises:
        UserError: The file is missing, is not valid YAML, or has an unknown key or an impossible
            value; one line a mistake, each naming the line of the file to fix.
    """
    return parse(path, Params)


def replaced(params: Params, values: dict[str, Any]) -> Params:
    """Returns `params` with some lines replaced, validated again.

    Args:
        params: The params to start from.
        values: New values by dotted name, such as `{"train.learning_rate": 0.01}`.

    Raises:
        ValueError: A name is unknown or a value impossible.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    changed = {}
    for section, lines in sections.items():
        before = getattr(params, section, None)
        if not isinstance(before, Section):
            raise ValueError(f"there is no section {section!r}")
        try:
            changed[section] = type(before).model_validate(before.model_dump() | lines)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join([section, *map(str, first["loc"])])
            raise ValueError(f"{name} may not be {first['input']!r}: {first['msg']}") from None
    return params.model_copy(update=changed)


def value(params: Params, name: str) -> Any:
    """Returns the value of a line, by its dotted name, such as `train.learning_rate`."""
    section, _, key = name.partition(".")
    return getattr(getattr(params, section), key)


def set_source(source: str, path: Path = PATH) -> None:
    """Writes `ingest.source` into a params file and leaves its comments as they are.

    Args:
        source: The collection's path, or the address or name of a recipe's file.
        path: The file. Defaults to `params.yaml` in the current folder.

    Raises:
        UserError: The file is missing or has a mistake; it is left as it is.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    load(path)  # a file with a mistake is left as it is
    written = yaml.load(path.read_text(encoding="utf-8"))
    written["ingest"]["source"] = source
    with atomic.atomic_write(path) as partial, partial.open("w", encoding="utf-8") as file:
        yaml.dump(written, file)
