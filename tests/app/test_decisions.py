"""The routes that store decisions on photos."""

import hashlib
import io
import json
from urllib.parse import urlencode

import pytest
from local_server import running
from PIL import Image

from app.test_recognition import send
from pipeline.app import server
from pipeline.app.champion import Champion
from pipeline.sources.feedback import Feedback


def photo(shade):
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 0, 0)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("review") / "feedback"


@pytest.fixture(scope="module")
def address(folder):
    with running(server.build(Champion("."), feedback=folder)) as address:
        yield address


def decide(address, data, **decision):
    status, body, _ = send(address, "POST", f"/api/feedback?{urlencode(decision)}", data)
    return status, json.loads(body)


def decisions_on(address, *photos):
    as_json = {"Content-Type": "application/json"}
    digests = json.dumps([hashlib.sha256(data).hexdigest() for data in photos])
    return json.loads(send(address, "POST", "/api/feedback/decisions", digests, **as_json)[1])


def test_the_decisions_of_two_persons_are_stored_and_shown(address, folder):
    answer = {"version": "3", "answered": "dog", "probability": "0.25"}
    fox = {"kind": "species", "label": "fox <script>", "who": "Anna"}
    status, decisions = decide(address, photo(1), **fox, **answer)
    assert (status, decisions) == (
        200,
        {"by": {"Anna": "fox <script>"}, "verdict": "fox <script>", "disputed": False},
    )
    _, decisions = decide(address, photo(1), kind="bad_photo", who="Ben")
    assert decisions["disputed"] and decisions["by"]["Ben"] == "bad_photo"
    (shown,) = decisions_on(address, photo(1), photo(2)).values()
    assert shown == decisions
    first, second = Feedback(folder).decisions()
    assert (first.version, first.answered, first.probability) == ("3", "dog", 0.25)
    assert (folder / second.file).read_bytes() == photo(1)
    about = json.loads(send(address, "GET", "/api/feedback")[1])
    assert (about["stored"], about["species"]) == (True, ["fox <script>"])


@pytest.mark.parametrize(
    ("data", "decision"),
    [
        (photo(3), {"kind": "species", "who": "Anna"}),
        (photo(3), {"kind": "nonsense", "who": "Anna"}),
        (photo(3), {"kind": "species", "label": "x" * 101, "who": "Anna"}),
        (photo(3), {"kind": "bad_photo", "who": "\n"}),
        (photo(3), {"kind": "bad_photo", "who": "A", "probability": "2"}),
        (b"<svg/>", {"kind": "bad_photo", "who": "A"}),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_is_written(address, folder, data, decision):
    status, body = decide(address, data, **decision)
    assert 400 <= status < 500, body
    assert hashlib.sha256(data).hexdigest() not in str(list(folder.rglob("*")))


def test_a_name_of_a_photo_is_never_a_path(address, folder):
    decide(address, photo(4), kind="species", label="../../../x", who="../y")
    assert {path.name for path in folder.iterdir()} == {"photos", "decisions.jsonl", "README"}
    assert not list(folder.parent.glob("x*"))


def test_without_a_folder_nothing_is_stored():
    with running(server.build(Champion("."))) as address:
        assert json.loads(send(address, "GET", "/api/feedback")[1]) == {"stored": False}
        status, body = decide(address, photo(1), kind="bad_photo", who="Anna")
        assert (status, "--feedback" in body["message"]) == (404, True)
