"""Promotion and rollback: all or nothing, logged, one at a time, and mended where need be."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
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

FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A database with four versions, each of few files; the gate let in all but the last."""
    folder, made = tmp_path_factory.mktemp("versions"), tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", challengers.store(folder))
        for number in range(1, 5):
            files = made / str(number)
            (files / "artifacts/recogniser").mkdir(parents=True)
            for name in ("network", "model.tflite", "labels.json"):
                (files / "artifacts/recogniser" / name).write_text(f"{name} {number}")
            checksums.write_checksums(files)
            checks = [{"name": "accuracy", "passed": number != 4, "reason": "it is like that"}]
            info = SimpleNamespace(model_uri=files.as_uri(), run_id=None, model_id=None)
            tags = {
                "labels": "[]",
                "accuracy": f"0.{number}",
                "content": "twice" if number in (2, 3) else f"once {number}",
                "gate": json.dumps(checks),
                "files_sha256": checksums.sha256(files / checksums.SUMS),
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


def test_each_rollback_takes_one_step_back(database):
    for number in (1, 2, 3):
        promote(number)
    assert rollback() == 2
    assert rollback() == 1
    assert audit_log.read()[-1].by == "hand"
    with pytest.raises(UserError, match="no former champion"):
        rollback()
    promote(3)
    assert rollback() == 1
    assert serving() == ([1], 1)
    with pytest.raises(UserError, match="no former champion"):
        rollback()


def test_a_version_whose_files_were_altered_comes_back_by_no_way(database, monkeypatch):
    """Whoever altered them wrote new hashes beside them, as a careful thief would."""
    for number in (1, 3, 2):
        promote(number)
    files = registry.folder(registry.get(3))
    network = files / registry.RECOGNISER / "network"
    network.write_text("network 1")
    checksums.write_checksums(files)
    try:
        with pytest.raises(UserError, match="version 3 is not what was registered"):
            rollback()
        assert "version 3 is not what" in animal(monkeypatch, "promote", "3")
        assert "version 3 is not what" in animal(monkeypatch, "rollback")
        with pytest.raises(UserError, match="version 3 is not what was registered"):
            registry.locate("3")
    finally:
        network.write_text("network 3")
        checksums.write_checksums(files)
    assert serving() == ([2], 2)
    assert len(audit_log.read()) == 3
    assert rollback() == 3


def test_a_recogniser_is_found_by_number_stage_alias_and_uri(database):
    for number in (1, 3, 2):
        promote(number)
    promotion.keep_out(registry.get(4), "it is like that")
    expected = {
        "3": 3,
        "Production": 2,
        "Staging": 4,
        "champion": 2,
        "@champion": 2,
        "models:/animal/3": 3,
        "models:/animal/Staging": 4,
        "models:/animal@champion": 2,
    }
    for name, number in expected.items():
        located = registry.locate(name)
        assert (located.recogniser / "network").read_text() == f"network {number}", name
        assert located.version == str(number), name


def test_a_recogniser_is_found_by_its_folder_and_by_that_of_a_version(database, tmp_path):
    files = registry.folder(registry.get(2))
    for name in (str(files), files.as_uri(), str(files / registry.RECOGNISER)):
        assert (registry.locate(name).recogniser / "network").read_text() == "network 2"
    (copy := tmp_path / "copy").mkdir()
    shutil.copytree(files, copy, dirs_exist_ok=True)
    (copy / registry.RECOGNISER / "network").write_text("another")
    with pytest.raises(UserError, match=r"copy is not what was registered: .*network was altered"):
        registry.locate(str(copy))


@pytest.mark.parametrize("lacks", ["model.tflite", "labels.json"])
def test_a_folder_that_is_no_recogniser_is_said_to_be_none(tmp_path, monkeypatch, lacks):
    """By every command that answers, before it looks at a photo or writes a file."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in {"model.tflite", "labels.json"} - {lacks}:
        (folder / name).touch()
    (tmp_path / "photo.jpg").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="models is not a recogniser"):
        registry.locate("models")
    for command in ("predict photo.jpg", "suggest photo.jpg", "export phone", "serve"):
        said = animal(monkeypatch, *command.split(), "--model", "models")
        assert f"models is not a recogniser: it holds no {lacks}" in said, command
    assert {path.name for path in tmp_path.iterdir()} == {"models", "photo.jpg"}


def test_what_is_no_version_is_named_beside_those_that_there_are(database):
    promote(1)
    for unknown in ("5", "Nowhere", "models:/animal/7"):
        with pytest.raises(UserError, match=r"no version, stage or alias .* versions: 1, 2, 3, 4"):
            registry.locate(unknown)
    with pytest.raises(UserError, match="files of models:/lynx/1 cannot be read"):
        registry.locate("models:/lynx/1")


def test_versions_come_oldest_first_and_content_leads_to_the_latest(database):
    assert [version.number for version in registry.versions()] == [1, 2, 3, 4]
    assert registry.find("twice").number == 3  # the later one
    assert registry.find("thrice") is None


def test_a_tracking_server_that_is_gone_is_not_a_registry_without_a_champion(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for call in (registry.champion, registry.versions, promotion.repair):
        with pytest.raises(UserError, match=r"tracking server http://127\.0\.0\.1:9 does not answ"):
            call()


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


def test_who_sets_the_alias_elsewhere_takes_the_former_version_out_too(database):
    promote(1, by="gate")
    promote(2, by="gate")
    registry.client().set_registered_model_alias("animal", "champion", "1")
    promotion.repair()
    assert promotion.replaced_by_hand(registry.get(2)).what == "put right"
    assert promotion.replaced_by_hand(registry.get(1)) is None


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "mended"),
    [
        (lambda client: client.set_registered_model_alias("animal", "champion", "1"), 1),
        (lambda client: client.delete_registered_model_alias("animal", "champion"), 2),
        (lambda client: client.transition_model_version_stage("animal", "1", "Production"), 2),
        (lambda client: client.transition_model_version_stage("animal", "2", "Archived"), 2),
    ],
)
def test_the_stage_follows_the_alias_and_without_one_the_log_decides(database, break_it, mended):
    promote(1)
    promote(2)
    break_it(registry.client())
    assert promotion.repair().what == "put right"
    assert serving() == ([mended], mended)
    assert promotion.repair() is None


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_promotion_that_a_kill_cut_off_is_finished_by_whoever_comes_next(
    database, monkeypatch, done
):
    """Killed before the alias moves nothing has happened; after that, stage and log follow it."""
    promote(1)
    calls = ["set_registered_model_alias", "transition_model_version_stage"]
    calls.append("set_registered_model_tag")
    with monkeypatch.context() as patch:
        killed = Mock(side_effect=KeyboardInterrupt)
        patch.setattr(type(registry.client()), calls[done], killed)
        with pytest.raises(KeyboardInterrupt):
            promote(2)
    assert serving() == [([1], 1), ([1], 2), ([2], 2)][done]  # both can be loaded
    repaired = promotion.repair()
    right = 2 if done else 1
    assert serving() == ([right], right)
    assert audit_log.moves()[-1].version == right
    assert (repaired is None) == (done == 0), "a repair must be logged, and nothing else"
    if done:
        assert rollback() == 1, "the version that served before the kill is the former champion"


@pytest.mark.slow
def test_promote_and_rollback_work_right_after_a_repair(database, monkeypatch):
    """Entries of the future, as a clock that was set back leaves them, do not matter."""
    promote(1)
    promote(2)
    monkeypatch.setattr(audit_log, "datetime", SimpleNamespace(now=lambda _: FUTURE))
    registry.client().transition_model_version_stage("animal", "2", "Archived")
    assert animal(monkeypatch, "promote", "3") is None
    assert serving() == ([3], 3)
    assert [e.what for e in audit_log.read()] == ["promoted", "promoted", "put right", "promoted"]
    registry.client().delete_registered_model_alias("animal", "champion")
    assert animal(monkeypatch, "rollback") is None
    assert serving() == ([2], 2)


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


# Counts the moves, waits for a line on standard input, and promotes the version that it names.
PROMOTES = """
import sys
from pipeline.core.errors import UserError
from pipeline.register import audit_log, promotion, versions
seen, version = len(audit_log.moves()), versions.get(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
try:
    print(promotion.promote(version, "", "hand", seen))
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.slow
def test_of_two_promotions_at_once_one_wins_and_the_other_learns_who(database):
    promote(1)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    both = {
        number: subprocess.Popen([sys.executable, "-c", PROMOTES, str(number)], text=True, **pipes)
        for number in (2, 3)
    }
    for process in both.values():
        assert process.stdout.readline() == "ready\n"
    for process in both.values():
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = {number: process.communicate() for number, process in both.items()}
    winner, loser = sorted(both, key=lambda number: both[number].returncode)
    assert [both[winner].returncode, both[loser].returncode] == [0, 1]
    assert f"version {winner} was promoted at" in outputs[winner][0]
    assert f"version {winner} was promoted at" in outputs[loser][1]
    assert serving() == ([winner], winner)
    assert [entry.version for entry in audit_log.read()] == [1, winner]
