"""Packs a version: network, inference code, model card and numbers."""

import hashlib
import importlib.metadata
import io
import json
import logging
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import inference
from pipeline.core import tracking
from pipeline.dataset.views import SUBJECT
from pipeline.inference import checksums, crops, decoding, query, recogniser_files
from pipeline.inference.detector import PACKAGES
from pipeline.register import model_card, versions

LEARNED_FROM = "learned_from.txt"
_ANSWERS = Path("about/answers.csv")  # in a version's folder: what it named the photos of its test
_INFERENCE = Path(inference.__file__).parent  # what a version carries of the project
_REQUIREMENTS = ("mlflow-skinny", "ai-edge-litert", "pillow", "numpy", "pandas")
_MAIN_SOFTWARE = ("keras", "tensorflow", "mlflow", "ai-edge-litert", "numpy", "pandas", "pillow")
_DESCRIPTION = 5000  # characters that MLflow's database keeps of a description


@dataclass(frozen=True)
class Challenger:
    """A tested recogniser that asks to be registered, as the stages before left it.

    Attributes:
        folder: `models/final`, with `model.keras`, `model.tflite`, `labels.json` and what else
            evaluate wrote beside them.
        metrics: The content of `reports/metrics.json`.
        species: Its numbers for each species, as `Scores.per_species` returns them.
        predictions: Its answer to each test photo, as `read_table` returns it.
        manifest: Of the photos.
        split: Of the photos, as split wrote it.
        root: The folder that the photos' paths start from.
    """

    folder: Path
    metrics: dict
    species: pd.DataFrame
    predictions: pd.DataFrame
    manifest: pd.DataFrame
    split: pd.DataFrame
    root: Path

    @property
    def labels(self) -> list[str]:
        """The species it knows."""
        return json.loads((self.folder / "labels.json").read_text())["labels"]

    @property
    def compared(self) -> int:
        """How many test photos Keras and LiteRT were compared on: `evaluate.parity`."""
        return self.metrics["keras_and_litert"]["pictures"]

    @property
    def content(self) -> str:
        """The sha256 of what answers: its files, the code that serves and what that needs."""
        digest = hashlib.sha256(" ".join(_requirements(self.folder)).encode())
        for file in (*recogniser_files.of(self.folder), *_code()):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    @property
    def tested_on(self) -> str:
        """The sha256 of which photos, or what of them, of which species, were tested."""
        tested = self.predictions
        rows = sorted(tested["photo"] + " " + tested["box"] + " " + tested["actual"])
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table that evaluate wrote; a species may be called `7` or `NA`."""
    columns = ("photo", "path", "box", SUBJECT, "species", "actual", "predicted")
    text = dict.fromkeys(columns, str)
    return pd.read_csv(path, dtype=text, keep_default_na=False)


def recorded_answers(version: Path) -> pd.DataFrame:
    """Reads what a version named the photos of its test: photo, box and predicted.

    Args:
        version: The folder of its files.
    """
    return read_table(version / _ANSWERS).drop_duplicates(["photo", "box"])


def register(challenger: Challenger) -> versions.Version:
    """Registers a recogniser as a new version of `animal`, which serves nobody yet.

    The version has two flavors: `python_function`, LiteRT behind `mlflow_model.py`, which needs no
    TensorFlow, and `keras`, so that `mlflow.keras.load_model` gives the Keras model. Beside them
    stand the model card, the params, `dvc.lock`, all numbers and the versions of all software, and
    the sha256 of every file; what a list of versions shows is in its tags too.
    """
    ml = tracking.mlflow()
    ml.set_experiment(tracking.EXPERIMENT)
    # Serving has the right version of all it needs; warnings about the rest only frighten.
    logging.getLogger("mlflow.utils.requirements_utils").setLevel(logging.ERROR)
    run = challenger.metrics["run_id"]
    run = run if tracking.exists(run) else None
    card, made = model_card_of(challenger), _made()
    split = challenger.split
    with tempfile.TemporaryDirectory() as about:
        _write_about(challenger, card, Path(about))
        info = ml.models.Model.log(
            artifact_path=None,
            flavor=Flavors,
            flavor_name="python_function",
            name=versions.NAME,
            run_id=run,
            folder=challenger.folder,
            learned_from=split.loc[split["split"] != "test", "photo"],
            about=Path(about),
        )
    sums = ml.artifacts.download_artifacts(f"{info.artifact_path}/{checksums.SUMS}")
    return versions.create(
        info,
        description=_described(card),
        tags={
            "content": challenger.content,
            "files_sha256": checksums.sha256(Path(sums)),
            "labels": json.dumps(challenger.labels),
            "tested_on": challenger.tested_on,
            **{name: str(value) for name, value in challenger.metrics["test"].items()},
            **made,
            "by": tracking.who(),
        },
    )


def model_card_of(challenger: Challenger) -> str:
    """Writes the model card of a recogniser, as Markdown."""
    run = challenger.metrics["run_id"]
    settings = tracking.mlflow().get_run(run).data.params if tracking.exists(run) else {}
    shown = _made() | {"by": tracking.who(), "python": platform.python_version()}
    shown |= {name: importlib.metadata.version(name) for name in _MAIN_SOFTWARE}
    tables = challenger.species, challenger.manifest, challenger.split
    return model_card.write(challenger.metrics, *tables, settings, shown)


def _made() -> dict[str, str]:
    """Returns the tags of whatever register makes."""
    made = tracking.tags("register")
    if Path("dvc.lock").exists():
        made["dvc_lock_sha256"] = checksums.sha256(Path("dvc.lock"))
    return made


class Flavors:
    """Stands for a flavor module in `mlflow.models.Model.log`, and saves two flavors."""

    @staticmethod
    def save_model(
        path: str, mlflow_model: Any, folder: Path, learned_from: pd.Series, about: Path
    ) -> None:
        """Saves a recogniser.

        Args:
            path: Where.
            mlflow_model: What MLflow knows of it so far.
            folder: The recogniser, as `litert_export.write` wrote it.
            learned_from: The photos that trained and validated it.
            about: A folder with what one may want to know of it later.
        """
        ml = tracking.mlflow()
        mlflow_model.add_flavor(
            "keras",
            data="data",
            keras_version=importlib.metadata.version("keras"),
            keras_backend="tensorflow",
            save_exported_model=False,
        )
        with tempfile.TemporaryDirectory() as temporary:
            code, carried = Path(temporary) / "pipeline", Path(temporary) / "recogniser"
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(_INFERENCE, code / "inference", ignore=ignored)
            (code / "__init__.py").touch()
            carried.mkdir()
            for file in folder.iterdir():
                if file.suffix != ".keras" and file.name != checksums.SUMS:
                    shutil.copyfile(file, carried / file.name)
            (carried / LEARNED_FROM).write_text("\n".join(sorted(learned_from)))
            ml.pyfunc.save_model(
                path,
                python_model=str(_INFERENCE / "mlflow_model.py"),
                code_paths=[str(code)],
                artifacts={"recogniser": str(carried)},
                mlflow_model=mlflow_model,
                signature=_signature(),
                input_example=_example(),
                pip_requirements=_requirements(folder),
            )
        saved = Path(path)
        (saved / "data").mkdir()
        shutil.copyfile(folder / "model.keras", saved / "data" / "model.keras")
        shutil.copytree(about, saved / "about")
        for compiled in saved.rglob("__pycache__"):
            shutil.rmtree(compiled)
        checksums.write_checksums(saved)


def _described(card: str) -> str:
    """Returns as much of a card as a description may hold, without its head for machines."""
    body = card[card.index("\n---\n\n") + 6 :]
    return body if len(body) <= _DESCRIPTION else body[: body.index("## Tested")]


def _write_about(challenger: Challenger, card: str, about: Path) -> None:
    """Writes what one may want to know of a version later."""
    (about / "model_card.md").write_text(card)
    (about / "metrics.json").write_text(json.dumps(challenger.metrics, indent=2) + "\n")
    challenger.species.to_csv(about / "per_species.csv", index=False)
    answers = challenger.predictions[["photo", "box", "predicted"]]
    answers.to_csv(about / _ANSWERS.name, index=False)
    model_card.licences(challenger.manifest).to_csv(about / "licences.csv", index=False)
    installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    software = {"python": platform.python_version(), **dict(sorted(installed.items()))}
    (about / "software.json").write_text(json.dumps(software, indent=2) + "\n")
    for name in ("params.yaml", "dvc.lock"):
        if Path(name).exists():
            shutil.copyfile(name, about / name)


def _code() -> list[Path]:
    """The files that a version runs."""
    return sorted(_INFERENCE.rglob("*.py"))


def _detector(folder: Path) -> list[str]:
    """Returns the name of the detector that a recogniser carries, if it carries one."""
    crop = crops.SubjectCrop.load(folder)
    return [crop.detector] if crop and crop.detector else []


def _requirements(folder: Path) -> list[str]:
    """Lists the packages of a version: of HEIC and of a detector where it may need them."""
    names = [*_REQUIREMENTS, *(["pillow-heif"] if "HEIF" in decoding.FORMATS else [])]
    names += filter(None, (PACKAGES[Path(name).suffix] for name in _detector(folder)))
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, Object, ParamSchema, ParamSpec, Property, Schema

    types = {int: "long", float: "double", bool: "boolean", str: "string", list: "double"}
    likely = [Property("species", "string"), Property("probability", "double")]
    return ModelSignature(
        # A string that is base64 or, where bytes can be sent, bytes. As `binary`, MLflow would
        # decode JSON itself, and refuse all rows without a word which one is wrong.
        inputs=Schema([ColSpec("string", "image")]),
        outputs=Schema(
            [
                ColSpec("string", "species"),
                ColSpec("double", "probability"),
                ColSpec(Array(Object(likely)), "top"),
                ColSpec("boolean", "unknown"),
                ColSpec(Array("string"), "prediction_set"),
                ColSpec("string", "kind"),
                ColSpec("string", "reason"),
                ColSpec("string", "looks_like", required=False),
                ColSpec("string", "rank", required=False),
                ColSpec("string", "taxon", required=False),
                ColSpec("double", "taxon_probability", required=False),
                ColSpec("string", "version"),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec(
                    name,
                    types[query.TYPES[name]],
                    value,
                    shape=(-1,) if query.TYPES[name] is list else None,
                )
                for name, value in query.DEFAULTS.items()
            ]
        ),
    )


def _example() -> pd.DataFrame:
    """A request that shows nobody's photo."""
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    file = io.BytesIO()
    Image.fromarray(np.stack([ramp, ramp.T, ramp[::-1]], axis=-1)).save(file, "JPEG")
    return pd.DataFrame({"image": [file.getvalue()]})
