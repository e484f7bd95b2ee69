"""The routes that train."""

import json
import time
from datetime import UTC, datetime

import pytest
from local_server import running

from app import fake_project
from app.test_recognition import photo, send
from pipeline.app import server
from pipeline.app.champion import Champion
from pipeline.register import versions
from pipeline.sources.feedback import Feedback

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture
def address(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(fake_project.make(tmp_path / "project"))
    (tmp_path / "photos").mkdir()
    with running(server.build(Champion("."), folders=tmp_path)) as address:
        yield address


def post(address, path, what):
    status, body, _ = send(address, "POST", f"/api/training/{path}", json.dumps(what), **AS_JSON)
    return status, json.loads(body)


def get(address, path=""):
    return json.loads(send(address, "GET", f"/api/training{path}")[1])


def test_a_collection_is_chosen_below_the_folders_that_are_shown(address, tmp_path):
    assert get(address)["source"] == "data/sources/demo.yaml"
    assert get(address, "/folders?path=")["folders"] == ["photos", "project"]
    for outside in ("..", "/etc", "photos/../.."):
        status, body = post(address, "start", {"source": outside})
        assert (status, "no such folder" in body["message"]) == (400, True)
    status, body = post(address, "start", {"source": "project"})
    assert (status, "belongs to the project" in body["message"]) == (400, True)
    assert post(address, "start", {"source": "photos", "target": "ingest"})[0] == 200
    assert get(address)["source"] == str(tmp_path / "photos")
    assert post(address, "start", {"target": "train; rm -rf /"})[0] == 422


def test_only_corrections_that_are_learned_from_are_counted(address, tmp_path):
    feedback = Feedback(tmp_path / "project/data/feedback")
    for i, kind in enumerate(("species", "no_animal", "bad_photo", "withdrawn")):
        label = "owl" if kind == "species" else None
        feedback.add(photo((9 * i, 7, 5)), kind, label, "Anna")
    feedback.add(photo((200, 7, 5)), "species", "owl", "Anna")
    feedback.add(photo((200, 7, 5)), "species", "ant", "Ben")
    assert get(address, "/collection") is None
    assert post(address, "start", {"target": "ingest"})[0] == 200
    while (found := get(address, "/collection")) is None:
        time.sleep(0.02)
    assert found["corrections"] == 2  # an owl, and no animal


def test_a_report_may_run_no_script(address):
    status, body, headers = send(address, "GET", "/reports/ingest/")
    assert (status, body) == (200, b"<h1>Data card</h1>")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script" not in policy
    assert "sandbox allow-same-origin allow-popups" in policy
    assert get(address)["reports"] == ["ingest/index.html"]
    for path in ("/reports/../params.yaml", "/reports/%2e%2e/params.yaml"):
        assert send(address, "GET", path)[0] == 404


def test_a_line_is_changed_or_refused_in_the_stages_own_words(address):
    status, lines = post(address, "params", {"name": "train.epochs", "value": "12"})
    assert status == 200
    assert next(line for line in lines if line["name"] == "train.epochs")["value"] == "12"
    status, body = post(address, "params", {"name": "train.epochs", "value": "many"})
    assert (status, body["message"].endswith("it should be a valid integer")) == (400, True)


def test_what_a_run_reads_is_not_changed_under_it(address, tmp_path):
    before = (tmp_path / "project/params.yaml").read_bytes()
    assert post(address, "start", {})[0] == 200
    refused = [
        post(address, "params", {"name": "train.epochs", "value": "12"}),
        post(address, "start", {"source": "photos", "target": "ingest"}),
    ]
    unchanged = (tmp_path / "project/params.yaml").read_bytes() == before
    while get(address)["run"]["running"]:  # a process that has only begun may not heed it yet
        post(address, "stop", {})
        time.sleep(0.02)
    why = "a run goes on already: wait for it, or stop it"
    assert refused == [(400, {"message": why})] * 2
    assert unchanged
    assert post(address, "params", {"name": "train.epochs", "value": "12"})[0] == 200


def test_a_version_that_failed_the_gate_needs_a_reason(address, monkeypatch):
    from pipeline.app import training

    failed = {"name": "accuracy", "passed": False, "reason": "0.5 is below 0.7", "limit": 0.7}
    compared = {"champion": 1, "photos": 31, "accuracy": 0.5, "low": -0.2, "changed": ["many"]}
    tags = {"gate": json.dumps([failed]), "comparison": json.dumps(compared)}
    tags |= {"accuracy": "0.5", "photos": "40"}
    version = versions.Version(2, "Staging", MADE, tags)
    promoted = []
    monkeypatch.setattr(versions, "versions", lambda: [version])
    monkeypatch.setattr(versions, "folder", lambda version: None)
    monkeypatch.setattr(training.promotion, "repair", lambda: None)
    monkeypatch.setattr(training.audit_log, "moves", lambda: [])
    monkeypatch.setattr(training.promotion, "promote", lambda *given: promoted.append(given))
    (shown,) = get(address, "/versions")
    assert (shown["accuracy"], shown["serves"]) == (0.5, False)
    assert shown["checks"] == [failed | {"measured": None, "values": None}]
    del compared["changed"]  # which may name a hundred photos
    assert shown["comparison"] == compared | {"champion_accuracy": None, "high": None}
    status, body = post(address, "promote", {"version": 2})
    assert (status, "say why" in body["message"], promoted) == (400, True, [])
    assert post(address, "promote", {"version": 2, "why": "it finds the rare ones"})[0] == 200
    assert promoted == [(version, "it finds the rare ones", "hand", 0)]


def test_where_there_is_no_project_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with running(server.build(Champion("."), folders=tmp_path)) as address:
        assert get(address) == {"possible": False}
    with running(server.build(Champion("."))) as address:
        assert send(address, "GET", "/api/training")[0] == 404
