"""Holds the recogniser that answers, and takes up a new champion while the app runs."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.inference.recogniser import Recogniser
from pipeline.register import versions

_SECONDS_BETWEEN_CHECKS = 5.0
_FOLLOWED = (versions.STAGE, versions.ALIAS)  # names that lead to another version later


@dataclass(frozen=True)
class Model:
    """A recogniser with what a person wants to know of it.

    Attributes:
        recogniser: Answers.
        folder: Where it lies.
        about: What its `labels.json` says.
        version: Its number in the registry or, if it has none, the name it goes by.
        made: When it was registered (ISO 8601, UTC); None if it was not.
        test: Of its metrics: photos, accuracy, interval (95 %, lower and upper end) and weakest,
            the tested species with the lowest recall; empty if it has none.
        card: Its model card, in Markdown; empty if it has none.
    """

    recogniser: Recogniser
    folder: Path
    about: dict[str, Any]
    version: str
    made: str | None
    test: dict[str, Any]
    card: str

    def describe(self) -> dict[str, Any]:
        """Returns what the page shows of it."""
        return {
            "version": self.version,
            "made": self.made,
            "species": self.recogniser.labels,
            "fit": self.about["fit"],
            "unknown_below": self.about["calibration"]["unknown_below"],
            "test": self.test,
            "card": self.card,
        }


class Champion:
    """The recogniser that a name leads to, loaded in the background.

    Args:
        model: What `versions.locate` takes. A stage or alias is followed: when it moves to another
            version, that one is loaded and takes over.

    Attributes:
        model: The recogniser that answers; None until the first one is loaded.
        problem: Why there is none, in a sentence; None while it is being loaded, and afterwards.
        none_yet: Whether that is because no version serves yet.
    """

    def __init__(self, model: str):
        self._name = model
        self._stopped = threading.Event()
        self.model: Model | None = None
        self.problem: str | None = None
        self.none_yet = False

    def start(self) -> None:
        """Begins to load."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the background thread."""
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        self.refresh()
        while not self._stopped.wait(_SECONDS_BETWEEN_CHECKS):
            if self.model is None or self._name in _FOLLOWED:
                self.refresh()

    def refresh(self) -> None:
        """Loads the version that the name leads to now, unless it is the one that answers.

        A name that is followed leads to the champion: the alias is the truth, and the stage may be
        elsewhere until `promotion.repair` brings it there.
        """
        try:
            followed = self._name in _FOLLOWED
            champion = versions.champion() if followed else None
            name = str(champion.number) if champion else self._name
            if followed and self.model and (champion is None or name == self.model.version):
                return
            self.model, self.problem, self.none_yet = load(name), None, False
        except UserError as error:  # the recogniser that answers goes on
            self.problem = str(error)
            missing = isinstance(error, versions.NoSuchVersion)
            self.none_yet = missing and self._name in _FOLLOWED
        except Exception as error:  # a registry that is being written to; the next check may work
            self.problem = f"{type(error).__name__}: {error}"


def load(name: str) -> Model:
    """Loads a recogniser.

    Args:
        name: What `versions.locate` takes.

    Raises:
        UserError: There is none of that name, or it is not a recogniser.
    """
    located = versions.locate(name)
    about = located.recogniser.absolute().parents[1] / "about"
    metrics, card = about / "metrics.json", about / "model_card.md"
    made = None
    if located.version.isdigit():
        made = versions.get(int(located.version)).made.isoformat(timespec="seconds")
    return Model(
        Recogniser(located.recogniser),
        located.recogniser,
        json.loads((located.recogniser / "labels.json").read_text()),
        located.version,
        made,
        _test(json.loads(metrics.read_text())) if metrics.is_file() else {},
        card.read_text() if card.is_file() else "",
    )


def _test(metrics: dict[str, Any]) -> dict[str, Any]:
    """Returns the scores of a version's test, the interval of its accuracy, its weakest species."""
    test = metrics["test"]
    if "intervals" in metrics:
        accuracy = metrics["intervals"]["accuracy"]
        interval = [accuracy["low"], accuracy["high"]]
    else:  # versions of before reports had intervals: the binomial one
        half = 1.96 * test["standard_error"]
        interval = [max(0.0, test["accuracy"] - half), min(1.0, test["accuracy"] + half)]
    tested = [row for row in metrics.get("species", []) if row["support"]]
    weakest = min(tested, key=lambda row: row["recall"], default=None)
    shown = weakest and {name: weakest[name] for name in ("species", "recall", "support")}
    return test | {"interval": interval, "weakest": shown}
