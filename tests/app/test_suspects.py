"""The routes to photos of the collection whose label is probably wrong."""

import hashlib
import json

import pytest
from local_server import running

from app.test_decisions import photo
from app.test_recognition import send
from pipeline.app import server, suspects
from pipeline.app.champion import Champion
from pipeline.core import workspace
from pipeline.sources.feedback import Feedback

HEAD = "photo,path,split,species,suggested,probability,own_probability\n"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def suspect(project, *paths, top):
    """Writes what ingest and evaluate write of photos labelled fox that are rather wolves."""
    (project / "data/ingested").mkdir(parents=True, exist_ok=True)
    workspace.write_collection(project / "data/ingested", top)
    (project / "reports").mkdir(exist_ok=True)
    lines = [f"{sha((top / path).read_bytes())},{path},train,fox,wolf,0.9,0.1\n" for path in paths]
    (project / "reports/label_errors.csv").write_text(HEAD + "".join(lines))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of five suspected photos, the least credible label first."""
    (tmp_path / "photos").mkdir()
    names = [f"{number}.jpg" for number in range(5)]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).write_bytes(photo(10 * number))
    suspect(tmp_path, *names, top=tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_photos_without_a_decision_are_listed_in_order_and_shown(project, monkeypatch):
    monkeypatch.setattr(suspects, "MOST", 2)
    feedback = Feedback(project / "feedback")
    feedback.add(photo(0), "species", "fox", "Anna")
    feedback.add(photo(20), "species", "wolf", "Anna")
    feedback.add(photo(20), "withdrawn", None, "Anna")
    (project / "photos/2.jpg").write_bytes(photo(99))
    app = server.build(Champion("."), feedback=feedback.folder, folders=project)
    with running(app) as address:
        first, second = json.loads(send(address, "GET", "/api/suspects")[1])
        assert (first["path"], second["path"]) == ("1.jpg", "2.jpg")
        assert (first["label"], first["suggested"]) == ("fox", "wolf")
        assert send(address, "GET", f"/api/suspects/{first['photo']}")[:2] == (200, photo(10))
        status, body, _ = send(address, "GET", f"/api/suspects/{second['photo']}")
        assert (status, b"2.jpg has changed" in body) == (404, True)
        (project / "photos/2.jpg").unlink()
        assert send(address, "GET", f"/api/suspects/{second['photo']}")[0] == 404
        for other in (sha(photo(0)), "x", "..%2f..%2fparams.yaml"):
            assert send(address, "GET", f"/api/suspects/{other}")[0] == 404


@pytest.mark.parametrize("opened", [{"feedback": True}, {"folders": True}, {}], ids=str)
def test_without_decisions_or_a_project_none_is_listed(project, opened):
    app = server.build(Champion("."), **dict.fromkeys(opened, project / "feedback"))
    with running(app) as address:
        assert json.loads(send(address, "GET", "/api/suspects")[1]) == []
        assert send(address, "GET", f"/api/suspects/{sha(photo(0))}")[0] == 404


def test_before_evaluate_has_run_none_is_listed(project):
    (project / "reports/label_errors.csv").unlink()
    app = server.build(Champion("."), feedback=project / "feedback", folders=project)
    with running(app) as address:
        assert json.loads(send(address, "GET", "/api/suspects")[1]) == []
