"""Promotion and rollback: all or nothing, logged, one at a time, and mended where need be."""

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import challengers
import pytest

from pipeline import cli
from pipeline.core import tracking
from pipeline.core.errors import UserError
from pipeline.inference import checksums
from pipeline.register import audit_log, promotion
from pipeline.register import versions as registry


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A database with four versions, each of one file; the gate let in all but the last."""
    folder, made = tmp_path_factory.mktemp("versions"), tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", challengers.store(folder))
        for number in range(1, 5):
            files = made / str(number)
            (files / "artifacts/recogniser").mkdir(parents=True)
            (files / "artifacts/recogniser/network").write_text(f"network {number}")
            checksums.seal(files)
            checks = [{"name": "accuracy", "passed": number != 4, "reason": "it is like that"}]
            info = SimpleNamespace(model_uri=files.as_uri(), run_id=None, model_id=None)
            tags = {
                "labels": "[]",
                "accuracy": f"0.{number}",
                "content": "twice" if number in (2, 3) else f"once {number}",
                "gate": json.dumps(checks),
                "files_sha256": checksums.digest(files),
            }
            registry.create(info, tags, "")
    return folder / "mlflow.db"


@pytest.fixture
def database(versions, tmp_path, monkeypatch):
    """A copy of it for one test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return shutil.copy(versions, tmp_path / "mlflow.db")


def serving() -> tuple[list[int], int | None]:
    staged = [version.number for version in registry.versions() if version.stage == "Production"]
    champion = registry.champion()
    return staged, champion and champion.number


def promote(number: int, by: str = "hand") -> None:
    promotion.promote(registry.get(number), "because", by, len(audit_log.moves()))


def rollback() -> int:
    return promotion.rollback("it failed", len(audit_log.moves())).version


def animal(monkeypatch, *words: str) -> str | int | None:
    """Runs a command; gives its error, if any."""
    monkeypatch.setattr("sys.argv", ["animal", *words])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code
    return None


def test_stage_alias_and_log_move_together(database):
    promote(1, by="gate")
    assert serving() == ([1], 1)
    promote(3)
    assert serving() == ([3], 3)
    assert registry.get(1).stage == "Archived"
    first, second = audit_log.read()
    assert (first.version, first.before, first.by) == (1, None, "gate")
    assert (second.what, second.version, second.before, second.why) == ("promoted", 3, 1, "because")
    assert second.who == tracking.who()
    assert first.when < second.when
    assert audit_log.damage() is None


def test_each_rollback_takes_one_step_back(database):
    for number in (1, 2, 3):
        promote(number)
    assert rollback() == 2
    assert rollback() == 1
    with pytest.raises(UserError, match="no former champion"):
        rollback()
    promote(3)
    assert rollback() == 1
    assert serving() == ([1], 1)


def test_a_version_whose_files_were_altered_comes_back_by_no_way(database, monkeypatch):
    """Whoever altered them wrote new hashes beside them, as a careful thief would."""
    for number in (1, 3, 2):
        promote(number)
    files = registry.folder(registry.get(3))
    network = files / registry.RECOGNISER / "network"
    network.write_text("network 1")
    checksums.seal(files)
    try:
        with pytest.raises(UserError, match="version 3 is not what was registered"):
            rollback()
        assert "version 3 is not what" in animal(monkeypatch, "promote", "3")
        assert "version 3 is not what" in animal(monkeypatch, "rollback")
        with pytest.raises(UserError, match="version 3 is not what was registered"):
            registry.recogniser("3")
    finally:
        network.write_text("network 3")
        checksums.seal(files)
    assert serving() == ([2], 2)
    assert len(audit_log.read()) == 3
    assert rollback() == 3


def test_a_recogniser_is_found_by_number_and_by_stage(database):
    for number in (1, 3, 2):
        promote(number)
    promotion.keep_out(registry.get(4), "it is like that")
    found = {name: registry.recogniser(name) for name in ("3", "Production", "Staging")}
    networks = {name: (folder / "network").read_text() for name, folder in found.items()}
    assert networks == {"3": "network 3", "Production": "network 2", "Staging": "network 4"}
    for unknown in ("5", "Nowhere"):
        with pytest.raises(UserError, match=f"no folder {unknown}, and no version or stage"):
            registry.recogniser(unknown)
    assert [version.number for version in registry.versions()] == [1, 2, 3, 4]
    assert registry.find("twice").number == 3  # the later one
    assert registry.find("thrice") is None


def test_a_registry_that_cannot_be_asked_is_not_one_without_a_champion(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(tracking.mlflow().exceptions.MlflowException, match="127"):
        registry.champion()


def test_only_a_person_takes_a_version_out_for_good(database):
    promote(1, by="gate")
    promote(2, by="gate")
    assert promotion.replaced_by_hand(registry.get(1)) is None
    rollback()
    assert promotion.replaced_by_hand(registry.get(2)).what == "rolled back to"
    assert promotion.replaced_by_hand(registry.get(1)) is None
    assert promotion.replaced_by_hand(registry.get(3)) is None
    promote(2)
    assert promotion.replaced_by_hand(registry.get(2)) is None


def test_what_the_gate_kept_out_serves_no_less_than_before(database):
    promote(2)
    promotion.keep_out(registry.get(4), "too slow")
    assert serving() == ([2], 2)
    assert registry.get(4).stage == "Staging"
    entry = audit_log.read()[-1]
    assert (entry.what, entry.version, entry.before, entry.by) == ("kept out", 4, 2, "gate")
    assert [move.version for move in audit_log.moves()] == [2]


def test_a_deleted_champion_is_passed_over(database):
    for number in (1, 2, 3):
        promote(number)
    registry.client().delete_model_version("animal", "2")
    assert rollback() == 1


def test_who_decided_on_an_older_state_is_told_who_was_faster(database):
    promote(1)
    seen = len(audit_log.moves())
    promote(2)
    with pytest.raises(UserError, match=f"version 2 was promoted at .* by {tracking.who()} meanw"):
        promotion.promote(registry.get(3), "", "gate", seen)
    assert serving() == ([2], 2)
    assert len(audit_log.read()) == 2


@pytest.mark.parametrize(
    ("break_it", "mended"),
    [
        (lambda client: client.set_registered_model_alias("animal", "champion", "1"), 2),
        (lambda client: client.delete_registered_model_alias("animal", "champion"), 2),
        (lambda client: client.transition_model_version_stage("animal", "1", "Production"), 2),
        (lambda client: client.transition_model_version_stage("animal", "2", "Archived"), 2),
    ],
)
def test_stage_and_alias_that_disagree_are_brought_together_as_the_log_has_it(
    database, break_it, mended
):
    promote(1)
    promote(2)
    break_it(registry.client())
    assert promotion.repair().what == "put right"
    assert serving() == ([mended], mended)
    assert promotion.repair() is None


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_promotion_that_a_kill_cut_off_is_finished_where_there_are_no_transactions(
    database, monkeypatch, done
):
    """As through a tracking server, which knows no transaction over several calls."""
    promote(1)
    calls = ["set_registered_model_tag", "transition_model_version_stage"]
    calls.append("set_registered_model_alias")
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_one_transaction", nullcontext)
        killed = Mock(side_effect=KeyboardInterrupt)
        patch.setattr(type(registry.client()), calls[done], killed)
        with pytest.raises(KeyboardInterrupt):
            promote(2)
        staged, champion = serving()
        assert (staged, champion) == (([1], 1) if done < 2 else ([2], 1))  # both can be loaded
    promotion.repair()
    right = 1 if done < 2 else 2
    assert serving() == ([right], right)
    if done == 1:  # the log was ahead of what happened
        with pytest.raises(UserError, match="no former champion"):
            rollback()


def test_an_altered_and_a_missing_entry_are_noticed(database, monkeypatch):
    promote(1)
    promote(2)
    assert audit_log.damage() is None
    client = registry.client()
    first, second = sorted(t for t in client.get_registered_model("animal").tags if "audit" in t)
    value = client.get_registered_model("animal").tags[second]
    client.set_registered_model_tag("animal", second, value.replace("because", "it was Ann"))
    assert "entry 2 is not the one" in audit_log.damage()
    client.set_registered_model_tag("animal", second, value)
    client.delete_registered_model_tag("animal", first)
    assert "entry 1 is not the one" in animal(monkeypatch, "versions")


def test_a_version_that_the_gate_kept_out_needs_a_reason(database, monkeypatch):
    assert "say why" in animal(monkeypatch, "promote", "4")
    assert animal(monkeypatch, "promote", "4", "--why", "we have nothing else") is None
    assert serving() == ([4], 4)
    assert audit_log.read()[-1].why == "we have nothing else"
    assert "there are 1, 2, 3, 4" in animal(monkeypatch, "promote", "9")


def test_versions_are_listed_with_their_fate(database, monkeypatch, capsys):
    promote(1)
    promotion.keep_out(registry.get(4), "accuracy is below 0.7")
    assert animal(monkeypatch, "versions") is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "version",
        "stage",
        "accuracy",
        "macro-F1",
        "when",
        "who",
        "gate",
        "why",
    ]
    assert lines[1].startswith("1        Production  0.1000")
    assert lines[4].startswith("4        Staging")
    assert lines[4].endswith("failed: accuracy  kept out: accuracy is below 0.7")
    assert animal(monkeypatch, "versions", "--log") is None
    assert f"by the gate, run by {tracking.who()}: accuracy is" in capsys.readouterr().out


@pytest.mark.slow
def test_of_two_promotions_at_once_one_wins_and_the_other_knows(database):
    promote(1)
    code = "from pipeline.cli import main; main()"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, "promote", str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (2, 3)
    ]
    said = {number: process.communicate() for number, process in zip((2, 3), both, strict=True)}
    winner, loser = sorted((2, 3), key=lambda number: both[number - 2].returncode)
    assert [both[winner - 2].returncode, both[loser - 2].returncode] == [0, 1]
    assert f"version {winner} serves now in place of version 1" in said[winner][0]
    assert f"version {winner} was promoted at" in said[loser][1]
    assert serving() == ([winner], winner)
    assert [entry.version for entry in audit_log.read()] == [1, winner]


# Promotes version 2 and is killed before the statement, or commit, of the given number.
KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from pipeline.register import audit_log
from pipeline.register import promotion
from pipeline.register import versions

versions.client()  # whatever is slow to import is there before the first fork

def killed_at(moment):
    version, seen, count = versions.get(2), len(audit_log.moves()), 0
    def step(*_):
        nonlocal count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", step)
    event.listen(Engine, "commit", step)
    promotion.promote(version, "", "hand", seen)

moment = 0
while True:
    moment += 1
    child = os.fork()
    if not child:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{sys.argv[1]}/{moment}.db"
        killed_at(moment)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(moment)
"""


@pytest.mark.slow
def test_a_promotion_killed_at_any_moment_has_happened_or_has_not(database, tmp_path, monkeypatch):
    promote(1)
    for moment in range(1, 80):
        shutil.copy(database, tmp_path / f"{moment}.db")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    moments = int(done.stdout)
    assert moments > 10
    found = []
    for moment in range(1, moments + 1):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/{moment}.db")
        staged, champion = serving()
        assert staged == [champion]
        assert audit_log.read()[-1].version == champion
        assert audit_log.damage() is None
        found.append(champion)
    assert found == sorted(found)  # once it has happened, it has happened
    assert (found[0], found[-1]) == (1, 2)
