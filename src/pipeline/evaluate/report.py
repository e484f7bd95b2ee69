"""Reports how good a recogniser is, on photos that nothing before it has seen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import atomic
from pipeline.dataset import contact_sheets, group_bootstrap
from pipeline.dataset.shards import Shards
from pipeline.dataset.views import SUBJECT
from pipeline.evaluate import confusion, plots, slices
from pipeline.evaluate.intervals import Interval, intervals, units_of
from pipeline.evaluate.scores import Scores
from pipeline.evaluate.trust import trust
from pipeline.inference.calibration import Calibration
from pipeline.train.metrics import positions

FILES = ("metrics.json", "predictions.csv", "plots")  # what a report consists of


@dataclass(frozen=True)
class Report:
    """The result of a test.

    Attributes:
        summary: The numbers, by section: the content of `metrics.json`.
        species: A row a species, as `Scores.per_species` returns it, with the ends of intervals in
            columns `_low` and `_high`.
        predictions: A row a picture: photo, path, box, subject (where photos have several views),
            group, actual, predicted, probability (of the predicted species) and kind (of the
            answer). Its index is the pictures' positions in the shards.
    """

    summary: dict[str, Any]
    species: pd.DataFrame
    predictions: pd.DataFrame

    @classmethod
    def of(
        cls,
        test: pd.DataFrame,
        probabilities: np.ndarray,
        labels: tuple[str, ...],
        calibration: Calibration,
        facets: pd.DataFrame,
        facts: Mapping[str, Any],
    ) -> "Report":
        """Judges a network's answers.

        Args:
            test: The test pictures, as `predictions.photos_of` returns them, and the kind of each
                answer, as `OpenSetRule.answer_kind` has it.
            probabilities: The network's calibrated answers to them, (n, species).
            labels: The species, in the order of its answers.
            calibration: Of its answers.
            facets: What may make each picture hard, as `slices.facets` returns it.
            facts: Sections of `metrics.json` that say which network it is and how it was made.
        """
        targets = positions(test["species"], labels)
        right = probabilities.argmax(axis=1) == targets
        drawn_by, units = units_of(test)
        scores = Scores(probabilities, targets, labels)
        overall, of_species = intervals(scores, units)
        species = _beside(scores.per_species(), of_species)
        subject = [SUBJECT] if SUBJECT in test else []
        predictions = test[["photo", "path", "box", *subject, "group"]].assign(
            actual=test["species"],
            predicted=np.array(labels)[probabilities.argmax(axis=1)],
            probability=probabilities.max(axis=1),
            kind=test["kind"],
        )
        rates = confusion.rates(predictions)
        mistakes = confusion.mistakes(predictions)
        summary = {
            "test": scores.summary(),
            "intervals": {
                "level": group_bootstrap.LEVEL,
                "draws": group_bootstrap.DRAWS,
                "by": drawn_by,
                "units": len(np.unique(units)),
                **{name: {"low": low, "high": high} for name, (low, high) in overall.items()},
            },
            "trust": trust(calibration, probabilities, targets, labels, test["kind"]),
            **facts,
            "slices": records(slices.scored(facets, right, units)),
            "species": records(species),
            "confusion": records(rates),
            "confused_pairs": records(confusion.confused_pairs(rates, mistakes)),
            "mistakes": records(mistakes.head(confusion.MISTAKES)),
        }
        return cls(summary, species, predictions)

    def save(self, folder: Path, shards: Shards) -> None:
        """Writes `metrics.json`, `predictions.csv`, and in `plots/` what a person looks at.

        Args:
            folder: Where.
            shards: The resized pictures.
        """
        with atomic.atomic_write(folder / "plots") as partial:
            partial.mkdir()
            self.species.to_csv(partial / "per_species.csv", index=False)
            labels = tuple(self.species["species"])
            plots.confusion(self.predictions, labels, partial / "confusion.png")
            plots.per_species(self.species, partial / "per_species.png")
            plots.reliability(
                self.summary["trust"]["reliability"], partial / "trust_reliability.png"
            )
            plots.risk_coverage(
                self.summary["trust"]["risk_coverage"], partial / "trust_risk_coverage.png"
            )
            if "robustness" in self.summary:
                plots.robustness(self.summary["robustness"], partial / "robustness.png")
            mistakes = pd.DataFrame(self.summary["mistakes"])
            sheet = contact_sheets.sheet(plots.mistakes(mistakes, shards))
            sheet.save(partial / "mistakes.png")
            contact_sheets.save_pictures(partial / "photos", shards, self._shown())
        with atomic.atomic_write(folder / "predictions.csv") as partial:
            self.predictions.drop(columns="group").to_csv(partial, index=False)
        with atomic.atomic_write(folder / "metrics.json") as partial:
            partial.write_text(json.dumps(self.summary, indent=2, allow_nan=False) + "\n")

    def _shown(self) -> list[int]:
        """Returns the positions of all pictures that the report names."""
        rows = [*self.summary["mistakes"], *self.summary.get("label_errors", {}).get("first", [])]
        examples = [pair["examples"] for pair in self.summary["confused_pairs"]]
        return sum(examples, [row["picture"] for row in rows])

    def __str__(self) -> str:
        test, agreement = self.summary["test"], self.summary["keras_and_litert"]
        pictures = "drawn pictures" if self.summary["drawn"] else "test photos"
        return (
            f"{self.species.round(3).to_string(index=False)}\n"
            f"{self.summary['chosen']} network in {self.summary['precision']['served']} on "
            f"{test['photos']} {pictures}: "
            f"accuracy {test['accuracy']:.4f} ± {test['standard_error']:.4f}, "
            f"macro-F1 {test['macro_f1']:.4f}, top-3 {test['top3']:.4f}, "
            f"log-loss {test['log_loss']:.4f}, calibration error {test['calibration_error']:.4f}\n"
            f"{self._events()}"
            f"Keras and LiteRT: the same label on {agreement['same_label']} of "
            f"{agreement['pictures']} pictures, probabilities up to "
            f"{agreement['largest_difference']:.1g} apart"
        )

    def _events(self) -> str:
        if "events" not in self.summary:
            return ""
        events = self.summary["events"]
        return (
            f"its frames pooled to {events['events']} events: "
            f"accuracy {events['accuracy']:.4f} ± {events['standard_error']:.4f}, "
            f"macro-F1 {events['macro_f1']:.4f}, log-loss {events['log_loss']:.4f}\n"
        )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the rows of a table as JSON has them; what is undefined is null."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _beside(table: pd.DataFrame, ends: Mapping[str, Interval]) -> pd.DataFrame:
    """Returns a table with the ends of each score's interval behind it."""
    table = table.copy()
    for name, (low, high) in ends.items():
        table.insert(table.columns.get_loc(name) + 1, f"{name}_low", low)
        table.insert(table.columns.get_loc(name) + 2, f"{name}_high", high)
    return table
