"""Chooses between the trained network and the tuned one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.evaluate import calibration_fit
from pipeline.inference.calibration import Calibration
from pipeline.networks import keras_setup
from pipeline.train import held_out
from pipeline.train.metrics import BEYOND_CHANCE, Score, paired_accuracy_gain, positions

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Candidate:
    """A network that a stage trained.

    Attributes:
        folder: Where the stage wrote it.
        run_id: The MLflow run that trained it.
        labels: The species, in the order of its answers.
        validation: Its score on validation.
        model: What it was built from, the section `model` of the params.
    """

    folder: Path
    run_id: str
    labels: tuple[str, ...]
    validation: Score
    model: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Candidate":
        """Reads the `run.json` that `trainer.Trained.save` wrote."""
        run = json.loads((folder / "run.json").read_text())
        labels, validation = tuple(run["labels"]), Score(**run["validation"])
        return cls(folder, run["run_id"], labels, validation, run["model"])

    @property
    def keras_file(self) -> Path:
        """The file of the network."""
        return self.folder / "model.keras"

    def network(self) -> "keras.Model":
        """Loads the network, from pixels to probabilities."""
        return keras_setup.keras().saving.load_model(self.keras_file)

    def held_out(self) -> pd.DataFrame:
        """Reads its answers to the photos that it had not learned from.

        Returns:
            As `held_out.table` describes them.
        """
        return pd.read_parquet(self.folder / held_out.FILE)

    def held_out_pictures(self, index: pd.DataFrame) -> pd.DataFrame:
        """Reads the same, with the pictures' positions in the resized shards as the index.

        Args:
            index: Of the shards. Where a photo has several pictures, they stand in the same order
                in both.
        """
        rows = self.held_out()
        places = pd.Series(index.index, index=[index["photo"], _occurrence(index["photo"])])
        keys = pd.MultiIndex.from_arrays([rows["photo"], _occurrence(rows["photo"])])
        return rows.set_axis(places.loc[keys].to_numpy())

    def calibration(self, split: pd.DataFrame) -> Calibration:
        """Fits a calibration of its answers to the photos that it had not learned from.

        Args:
            split: A row a photo, with columns photo and group.
        """
        rows = self.held_out()
        targets = positions(rows["species"], self.labels)
        groups = rows["photo"].map(split.set_index("photo")["group"]).to_numpy()
        return calibration_fit.fit(np.stack(rows["probabilities"]), targets, groups)

    def all_answers(
        self,
        test: pd.DataFrame,
        probabilities: np.ndarray,
        calibration: Calibration,
        index: pd.DataFrame,
    ) -> pd.DataFrame:
        """Returns answers to all pictures, each by a network that had not learned from it.

        Args:
            test: The test pictures, with columns photo and species; its index is their positions
                in the shards.
            probabilities: Its calibrated answers to them, (n, species).
            calibration: Of its answers.
            index: Of the shards.

        Returns:
            photo, split, species and probabilities (an array, calibrated). The index is the
            pictures' positions in the shards.
        """
        rows = self.held_out_pictures(index)
        calibrated = calibration.apply(np.stack(rows["probabilities"]))
        columns = ["photo", "split", "species", "probabilities"]
        return pd.concat(
            [
                rows.assign(probabilities=list(calibrated))[columns],
                test.assign(split="test", probabilities=list(probabilities))[columns],
            ]
        )

    def described(self) -> dict[str, Any]:
        """Returns its sections of `metrics.json`."""
        return {
            "validation": asdict(self.validation),
            "chosen": self.folder.name,
            "run_id": self.run_id,
        }


def _occurrence(photos: pd.Series) -> pd.Series:
    return photos.groupby(photos).cumcount()


def better(trained: Candidate, tuned: Candidate) -> Candidate:
    """Returns the tuned candidate if it is better beyond chance, else the trained one.

    The gain counts on the photos that both held out, beyond `BEYOND_CHANCE` standard errors.
    """
    gain, error = paired_accuracy_gain(tuned.held_out(), trained.held_out())
    return tuned if gain > BEYOND_CHANCE * error else trained
