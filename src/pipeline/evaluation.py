"""How good a recogniser is, on photos that nothing before it has seen."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from pipeline import outputs, plots, sheets
from pipeline.calibration import Calibration
from pipeline.errors import UserError
from pipeline.export import Agreement
from pipeline.scores import Score, calibration_error, gained

LEAST_SAME = 0.95  # of the labels, int8 beside float; 0.992 to 0.998 was seen on real photos


@dataclass(frozen=True)
class Candidate:
    """A network that a stage trained, and how it did on validation."""

    folder: Path
    run_id: str
    labels: tuple[str, ...]
    validation: Score

    @classmethod
    def load(cls, folder: Path) -> "Candidate":
        """Reads the `run.json` that `training.Trained.save` wrote."""
        run = json.loads((folder / "run.json").read_text())
        return cls(folder, run["run_id"], tuple(run["labels"]), Score(**run["validation"]))

    def held_out(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Photos it had not learned from, and the probabilities it gave them, (n, species), as
        `training.Trained.held_out` has them."""
        table = pd.read_parquet(self.folder / "held_out.parquet")
        return table, np.stack(table["probabilities"])


def better(trained: Candidate, tuned: Candidate) -> Candidate:
    """The tuned candidate if it is surely the better one, else the trained one.

    The best of many trials owes a part of its score to luck. So what it gains on the photos that
    both were judged by must be more than two of its standard errors: with one (the rule of Breiman
    et al. 1984, Classification and Regression Trees) the luckiest of 30 trials was served on two of
    three splits of 13 classes, and lost 0.003 and 0.005 on the test photos.
    """
    gain, error = gained(tuned.held_out()[0], trained.held_out()[0])
    return tuned if gain > 2 * error else trained


def positions(species: pd.Series, labels: tuple[str, ...]) -> np.ndarray:
    """Where each photo's species stands among the network's answers, int (n,)."""
    return species.map({name: i for i, name in enumerate(labels)}).to_numpy()


def summarise(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The numbers a recogniser is judged by.

    Args:
        probabilities: (n, species), rows summing to 1.
        targets: The right positions, int (n,).

    Returns:
        photos, accuracy, standard_error (binomial), macro_f1 (mean over the species that occur),
        top3, log_loss (nats), calibration_error.
    """
    score = Score.of(probabilities, targets)
    first_three = np.argsort(-probabilities, axis=1)[:, :3]
    return {
        "photos": score.photos,
        "accuracy": score.accuracy,
        "standard_error": score.standard_error,
        "macro_f1": float(
            metrics.f1_score(
                targets,
                probabilities.argmax(axis=1),
                labels=np.unique(targets),
                average="macro",
                zero_division=0,
            )
        ),
        "top3": float((first_three == targets[:, None]).any(axis=1).mean()),
        "log_loss": score.log_loss,
        "calibration_error": calibration_error(probabilities, targets),
    }


def trust(calibration: Calibration, probabilities: np.ndarray, targets: np.ndarray) -> dict:
    """What a calibration's promises come to.

    Args:
        calibration: Fitted on other photos.
        probabilities: Calibrated, (n, species).
        targets: The right positions, int (n,).

    Returns:
        The calibration's own numbers; unknown, the share of photos called unknown, and
        accuracy_of_known on the rest (None if there is none); coverage, the share of prediction
        sets that hold the right species, and set_size, how many species they hold on average.
    """
    sets = calibration.sets(probabilities)
    known = probabilities.max(axis=1) >= calibration.unknown_below
    right = (probabilities.argmax(axis=1) == targets)[known]
    return {
        **asdict(calibration),
        "unknown": float(1 - known.mean()),
        "accuracy_of_known": float(right.mean()) if len(right) else None,
        "coverage": float(sets[np.arange(len(targets)), targets].mean()),
        "set_size": float(sets.sum(axis=1).mean()),
    }


def per_species(
    probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...]
) -> pd.DataFrame:
    """Precision, recall, F1 and support (photos) of each species, in the order of `labels`."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        targets, probabilities.argmax(axis=1), labels=range(len(labels)), zero_division=0
    )
    columns = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    return pd.DataFrame({"species": labels, **columns})


def photos_of(
    name: str, index: pd.DataFrame, manifest: pd.DataFrame, split: pd.DataFrame
) -> pd.DataFrame:
    """The pictures of a split: photo, path, species, and what was cut out of the photo (box).

    The index of the frame is their positions in the shards.

    Args:
        name: `train`, `validation` or `test`.
        index: The resized shards' index.
        manifest: What ingest wrote.
        split: What split wrote.
    """
    paths, splits = manifest.set_index("photo")["path"], split.set_index("photo")["split"]
    table = index[["photo", "species", "box"]].assign(path=index["photo"].map(paths))
    return table[index["photo"].map(splits) == name]


@dataclass(frozen=True)
class Precisions:
    """A network in float and in int8.

    Attributes:
        served: Which one is tested and served: `float` or `int8`.
        same_label: Share of validation photos that both give the same species.
        float: How good it is in float on the test photos.
        int8: How good it is in int8 on the test photos.
    """

    served: str
    same_label: float
    float: Score
    int8: Score

    @classmethod
    def of(
        cls,
        served: str,
        validation: Mapping[str, np.ndarray],
        test: Mapping[str, np.ndarray],
        targets: np.ndarray,
    ) -> "Precisions":
        """Compares both.

        Args:
            served: `evaluate.precision`.
            validation: Probabilities of both for the validation photos, (n, species).
            test: Likewise for the test photos, (m, species).
            targets: The right positions of the test photos, int (m,).

        Raises:
            UserError: int8 is to be served and differs from float too often.
        """
        left, right = (validation[name].argmax(axis=1) for name in ("float", "int8"))
        same = np.mean(left == right).item()
        if served == "int8" and same < LEAST_SAME:
            raise UserError(
                f"in int8 the network gives {same:.1%} of the validation photos the species that "
                f"it gives them in float; under {LEAST_SAME:.0%} it is not served: set "
                "evaluate.precision to float"
            )
        return cls(served, same, *(Score.of(test[name], targets) for name in ("float", "int8")))

    @property
    def other(self) -> str:
        """The one that is not served."""
        return {"float": "int8", "int8": "float"}[self.served]


@dataclass(frozen=True)
class Report:
    """What a test found.

    Attributes:
        summary: The numbers, by section.
        species: What `per_species` gives.
        predictions: A row a picture: photo, path, box, actual, predicted, probability (of the
            predicted species).
        labels: The species, in the order of the network's answers.
    """

    summary: dict[str, Any]
    species: pd.DataFrame
    predictions: pd.DataFrame
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls,
        test: pd.DataFrame,
        probabilities: np.ndarray,
        chosen: Candidate,
        calibration: Calibration,
        agreement: Agreement,
        precisions: Precisions,
        drawn: bool,
    ) -> "Report":
        """Judges a network's answers.

        Args:
            test: What `photos_of` gave.
            probabilities: The network's calibrated answers, (n, species).
            chosen: Which network it is.
            calibration: Of its answers.
            agreement: How the Keras network and the LiteRT one, in float, differ on these photos.
            precisions: What int8 costs it, and which one this is.
            drawn: Whether the pictures are drawn by code and no photos.
        """
        labels = chosen.labels
        targets = positions(test["species"], labels)
        answers = {
            "predicted": np.array(labels)[probabilities.argmax(axis=1)],
            "probability": probabilities.max(axis=1),
        }
        predictions = test[["photo", "path", "box", "species"]]
        predictions = predictions.rename(columns={"species": "actual"})
        summary = {
            "test": summarise(probabilities, targets),
            "trust": trust(calibration, probabilities, targets),
            "validation": asdict(chosen.validation),
            "keras_and_litert": asdict(agreement),
            "precisions": asdict(precisions),
            "chosen": chosen.folder.name,
            "drawn": drawn,
            "run_id": chosen.run_id,
        }
        species = per_species(probabilities, targets, labels)
        return cls(summary, species, predictions.assign(**answers), labels)

    def save(self, folder: Path, pictures: np.ndarray) -> None:
        """Writes `metrics.json`, `predictions.csv`, and in `plots/` what a person looks at.

        Args:
            folder: Where.
            pictures: The photos, uint8 (n, size, size, 3), in the order of `predictions`.
        """
        with outputs.whole(folder / "plots") as partial:
            partial.mkdir()
            self.species.to_csv(partial / "per_species.csv", index=False)
            plots.confusion(self.predictions, self.labels, partial / "confusion.png")
            sheets.sheet(self._mistakes(pictures)).save(partial / "mistakes.png")
        with outputs.whole(folder / "predictions.csv") as partial:
            self.predictions.to_csv(partial, index=False)
        with outputs.whole(folder / "metrics.json") as partial:
            partial.write_text(json.dumps(self.summary, indent=2) + "\n")

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """What `save` writes."""
        return [folder / name for name in ("metrics.json", "predictions.csv", "plots")]

    def __str__(self) -> str:
        test = self.summary["test"]
        both = self.summary["precisions"]
        pictures = "drawn pictures" if self.summary["drawn"] else "test photos"
        return (
            f"{self.species.round(3).to_string(index=False)}\n"
            f"{self.summary['chosen']} network on {test['photos']} {pictures}: "
            f"accuracy {test['accuracy']:.4f} ± {test['standard_error']:.4f}, "
            f"macro-F1 {test['macro_f1']:.4f}, top-3 {test['top3']:.4f}, "
            f"log-loss {test['log_loss']:.4f}, calibration error {test['calibration_error']:.4f}\n"
            f"{both['float']['accuracy']:.4f} in float, {both['int8']['accuracy']:.4f} in int8; "
            f"this is {both['served']}"
        )

    def _mistakes(
        self, pictures: np.ndarray, most: int = 40, columns: int = 8
    ) -> list[list[tuple[np.ndarray, str]]]:
        """The mistakes the network was surest of, the surest first, for `sheets.sheet`."""
        numbered = self.predictions.reset_index(drop=True)
        wrong = numbered[numbered["actual"] != numbered["predicted"]]
        wrong = wrong.sort_values("probability", ascending=False, kind="stable").head(most)
        tiles = [
            (pictures[row.Index], f"{row.actual}: {row.predicted}? {row.probability:.2f}")
            for row in wrong.itertuples()
        ]
        return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
