"""Reports how good a recogniser is, on photos that nothing before it has seen."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import atomic
from pipeline.dataset import contact_sheets
from pipeline.evaluate import plots
from pipeline.evaluate.candidates import Candidate
from pipeline.evaluate.metrics import per_species, positions, summarise, trust
from pipeline.evaluate.precisions import Precisions
from pipeline.inference.calibration import Calibration
from pipeline.networks.litert_export import Agreement


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
        with atomic.whole(folder / "plots") as partial:
            partial.mkdir()
            self.species.to_csv(partial / "per_species.csv", index=False)
            plots.confusion(self.predictions, self.labels, partial / "confusion.png")
            contact_sheets.sheet(self._mistakes(pictures)).save(partial / "mistakes.png")
        with atomic.whole(folder / "predictions.csv") as partial:
            self.predictions.to_csv(partial, index=False)
        with atomic.whole(folder / "metrics.json") as partial:
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
        """The mistakes the network was surest of, the surest first, for `contact_sheets.sheet`."""
        numbered = self.predictions.reset_index(drop=True)
        wrong = numbered[numbered["actual"] != numbered["predicted"]]
        wrong = wrong.sort_values("probability", ascending=False, kind="stable").head(most)
        tiles = [
            (pictures[row.Index], f"{row.actual}: {row.predicted}? {row.probability:.2f}")
            for row in wrong.itertuples()
        ]
        return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
