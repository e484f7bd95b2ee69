import json
import shutil
from datetime import UTC, datetime

import pytest

from pipeline.app import champion
from pipeline.app.champion import Champion
from pipeline.register import versions

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def registry(recogniser, monkeypatch):
    """Versions 3 and 4 of one recogniser; `now` serves, and has the stage unless `staged` has."""

    class Registry:
        now = 3
        staged = None

        def champion(self):
            return self.now and versions.Version(self.now, "Production", MADE, {})

        def locate(self, name):
            if not self.now:
                raise versions.NoSuchVersion("there is no version")
            number = {"Production": self.staged or self.now, "champion": self.now}.get(name, name)
            return versions.Located(recogniser, str(number))

        def get(self, number):
            return versions.Version(number, "Production", MADE, {})

    registry = Registry()
    for name in ("champion", "locate", "get"):
        monkeypatch.setattr(versions, name, getattr(registry, name))
    return registry


def test_a_new_champion_takes_over_and_the_old_one_goes_on_until_then(registry):
    served = Champion("Production")
    served.refresh()
    first = served.model
    assert (first.version, first.made) == ("3", "2026-03-01T12:00:00+00:00")
    served.refresh()
    assert served.model is first  # nothing is loaded twice
    registry.now = 4
    served.refresh()
    assert served.model.version == "4"
    registry.now = None  # a registry that is emptied takes no recogniser away
    served.refresh()
    assert (served.model.version, served.problem) == ("4", None)


@pytest.mark.parametrize("name", ["Production", "champion"])
def test_a_stage_that_is_elsewhere_than_the_champion_changes_nothing(registry, name):
    registry.staged = 4
    served = Champion(name)
    served.refresh()
    first = served.model
    assert first.version == "3"
    served.refresh()
    assert served.model is first
    registry.now, registry.staged = 4, 3
    served.refresh()
    assert served.model.version == "4"


def test_without_a_champion_it_says_so_and_takes_the_first_one_up(registry):
    registry.now = None
    served = Champion("Production")
    served.refresh()
    assert (served.model, served.problem, served.none_yet) == (None, "there is no version", True)
    registry.now = 3
    served.refresh()
    assert (served.model.version, served.problem, served.none_yet) == ("3", None, False)


def test_scores_come_with_the_interval_of_the_report(recogniser, tmp_path, monkeypatch):
    folder = tmp_path / "artifacts" / "recogniser"
    shutil.copytree(recogniser, folder)
    (tmp_path / "about").mkdir()
    monkeypatch.setattr(versions, "locate", lambda _: versions.Located(folder, "mine"))
    assert champion.load("mine").test == {}
    metrics = {
        "test": {"photos": 40, "accuracy": 0.9, "standard_error": 0.05, "macro_f1": 0.7},
        "intervals": {"accuracy": {"low": 0.71, "high": 0.94}, "macro_f1": {"low": 0, "high": 1}},
    }
    (tmp_path / "about/metrics.json").write_text(json.dumps(metrics))
    scores = metrics["test"] | {"interval": [0.71, 0.94], "weakest": None}
    assert champion.load("mine").test == scores
    rows = [("owl", 0.9, 10), ("newt", 0.0, 0), ("ant", 0.5, 4), ("bee", 0.75, 8)]  # no newt tested
    metrics["species"] = [
        {"species": name, "recall": recall, "support": n, "f1": 1.0} for name, recall, n in rows
    ]
    (tmp_path / "about/metrics.json").write_text(json.dumps(metrics))
    assert champion.load("mine").test["weakest"] == {"species": "ant", "recall": 0.5, "support": 4}
    del metrics["intervals"]  # as in versions of before reports had them
    (tmp_path / "about/metrics.json").write_text(json.dumps(metrics))
    assert champion.load("mine").test["interval"] == pytest.approx([0.802, 0.998])


def test_the_background_thread_notices(registry, monkeypatch):
    monkeypatch.setattr(champion, "_SECONDS_BETWEEN_CHECKS", 0.01)
    fixed, served = Champion("3"), Champion("Production")
    for one in (fixed, served):
        one.start()
    deadline = datetime.now(UTC).timestamp() + 60
    while (served.model is None or served.model.version != "4") and (
        datetime.now(UTC).timestamp() < deadline
    ):
        if served.model is not None and fixed.model is not None:
            registry.now = 4
    served.stop()
    fixed.stop()
    assert (served.model.version, fixed.model.version) == ("4", "3")
