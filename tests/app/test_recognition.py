"""The routes that answer photos, against `animal predict` and against hostile uploads."""

import base64
import http.client
import io
import json
import socket
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from local_server import running
from PIL import Image

from pipeline.app import recognition, server, uploads
from pipeline.app.access import Access
from pipeline.app.champion import Champion
from pipeline.inference.pooling import Pooling
from pipeline.predict import batch
from pipeline.predict.events import Events
from pipeline.predict.formats import tables


def photo(colour, form="JPEG", size=(48, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PHOTOS = {
    "a/red.jpg": photo("red"),
    "b/blue.png": photo((40, 0, 250), "PNG"),
    "b/violet.tif": photo((130, 0, 128), "TIFF"),
    "broken.jpg": b"no photo",
    "=1+1.jpg": photo((200, 0, 90)),
}


@pytest.fixture(scope="module")
def champion(recogniser):
    made = Champion(str(recogniser))
    made.refresh()
    return made


@pytest.fixture(scope="module")
def address(champion):
    app = server.build(champion, Access(burst=10_000))
    with running(app) as address:
        yield address


def send(address, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read(), response.headers


def answer(address, name, data):
    status, body, _ = send(address, "POST", f"/api/answer?path={quote(name)}", data)
    assert status == 200, body
    return json.loads(body)


def test_the_page_answers_what_predict_answers_and_its_table_is_the_same(
    address, champion, recogniser, tmp_path, monkeypatch
):
    for name, data in PHOTOS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    order = ["a/red.jpg", "b/blue.png", "b/violet.tif", "broken.jpg", "./=1+1.jpg"]
    batch.predict(recogniser, order, tmp_path / "journal", jobs=1)
    expected = list(batch.answers(tmp_path / "journal"))
    labels = batch.labels(recogniser)
    events = Events(labels, Pooling.load(recogniser), top=batch.TOP)
    tables.csv(events.beside(expected), labels, tmp_path / "expected.csv")

    responses = [answer(address, name, data) for name, data in PHOTOS.items()]
    assert [one["answer"] for one in responses] == expected
    assert {one["version"] for one in responses} == {str(recogniser)}
    rows = json.dumps([one["answer"] for one in responses])
    status, table, headers = send(
        address, "POST", "/api/table", rows, **{"Content-Type": "application/json"}
    )
    assert status == 200
    assert headers["Content-Disposition"] == "attachment; filename=predictions.csv"
    assert table == (tmp_path / "expected.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_the_picture_is_what_the_recogniser_saw(address):
    left_blue = Image.new("RGB", (90, 60), "red")
    left_blue.paste((0, 0, 255), (0, 0, 45, 60))
    file = io.BytesIO()
    left_blue.save(file, "TIFF")
    response = answer(address, "x.tif", file.getvalue())
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(response["picture"]))), int)
    assert shown.shape == (32, 32, 3)
    assert shown[:, :12, 2].mean() > 200 > 60 > shown[:, 20:, 2].mean()


def test_a_heat_map_is_the_recognisers_own(address, champion):
    status, body, _ = send(address, "POST", "/api/heat", PHOTOS["b/violet.tif"])
    expected = champion.model.recogniser.answer(PHOTOS["b/violet.tif"], explained=True)
    assert status == 200
    assert json.loads(body)["heat"] == expected["explanation"]
    assert send(address, "POST", "/api/heat", b"no photo")[0] == 400


def test_the_model_is_described(address, champion):
    status, body, _ = send(address, "GET", "/api/model")
    described = json.loads(body)
    assert status == 200
    assert described["species"] == ["blue & co", "red"]
    assert (described["fit"], described["unknown_below"]) == ("crop", 0.7)
    assert described["problem"] is None


@pytest.mark.parametrize(
    "data",
    [b"", SVG, b"<!doctype html><script>alert(1)</script>", b"\x89PNG\r\n\x1a\n" + bytes(99)],
    ids=["nothing", "svg", "html", "header alone"],
)
def test_what_is_no_photo_has_a_reason_and_no_picture(address, data):
    response = answer(address, "x.jpg", data)
    assert response["answer"]["error"]
    assert response["picture"] is response["answer"]["species"] is None


def test_of_a_polyglot_only_the_picture_comes_back(address):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("evil.html", SVG)
    response = answer(address, "x.jpg", photo("red") + SVG + file.getvalue())
    picture = base64.b64decode(response["picture"])
    assert response["answer"]["species"] == "red"
    assert b"script" not in picture and b"PK" not in picture


def test_a_picture_that_claims_too_many_pixels_is_refused(address):
    bomb = bytearray(photo("red", "PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    assert "too_many_pixels" in answer(address, "x.png", bytes(bomb))["answer"]["error"]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(address, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 1000)
    assert send(address, "POST", "/api/answer?path=x", bytes(1001))[0] == 413

    def parts():
        for _ in range(30):
            yield bytes(100)

    assert send(address, "POST", "/api/answer?path=x", parts())[0] == 413  # of unknown length
    assert send(address, "POST", "/api/answer?path=x", bytes(1000))[0] == 200


def test_a_body_that_does_not_arrive_is_not_waited_for(address, monkeypatch):
    monkeypatch.setattr(uploads, "_SECONDS", 0.2)
    with socket.create_connection(address.removeprefix("http://").split(":")) as connection:
        head = "POST /api/answer?path=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head.encode() + b"123")
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "rows", ['{"a": 1}', "[1]", '[{"x": 1}]', '[{"error": null}]', "no json", "[" * 100_000]
)
def test_a_table_is_made_of_answers_alone(address, rows):
    status, body, _ = send(
        address, "POST", "/api/table", rows, **{"Content-Type": "application/json"}
    )
    assert 400 <= status < 500, body


def test_a_zip_comes_back_as_its_photos(address):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("in/red.jpg", PHOTOS["a/red.jpg"])
    status, body, headers = send(address, "POST", "/api/unpack", file.getvalue())
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    head, data = body[4:].split(b"}", 1)
    assert (json.loads(head + b"}")["name"], data) == ("in/red.jpg", PHOTOS["a/red.jpg"])
    status, body, _ = send(address, "POST", "/api/unpack", b"no zip")
    assert (status, json.loads(body)) == (400, {"message": "this is neither a zip nor a tar"})


def test_a_thousand_uploads_at_once_do_no_harm(champion):
    """Most are refused, the rest are answered rightly, and the page stays reachable."""
    red = photo("red")
    with running(server.build(champion, Access(per_second=20, burst=50))) as address:

        def one(_):
            return send(address, "POST", "/api/answer?path=x", red)[:2]

        with ThreadPoolExecutor(8) as clients:
            answers = [clients.submit(one, i) for i in range(1000)]
            reachable = send(address, "GET", "/")[0]
            answers = [future.result() for future in answers]
    assert reachable == 200
    assert {status for status, _ in answers} == {200, 429}
    passed = [json.loads(body)["answer"]["species"] for status, body in answers if status == 200]
    assert set(passed) == {"red"}
    assert 50 <= len(passed) < 800


def test_never_more_photos_wait_than_memory_holds(champion, monkeypatch):
    monkeypatch.setattr(recognition, "MAX_WAITING", 0)
    with running(server.build(champion)) as address:
        status, _, headers = send(address, "POST", "/api/answer?path=x", photo("red"))
    assert (status, headers["Retry-After"]) == (429, "2")


def test_static_files_are_all_that_can_be_read(address):
    assert send(address, "GET", "/static/js/main.js")[2]["Content-Type"].startswith(
        "text/javascript"
    )
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py"):
        assert send(address, "GET", path)[0] == 404


def test_signing_in_gives_a_cookie_that_lets_in(champion):
    with running(server.build(champion, Access(token="right"))) as address:
        as_json = {"Content-Type": "application/json"}
        assert send(address, "GET", "/api/model")[0] == 401
        wrong = [
            send(address, "POST", "/api/sign-in", f'{{"token": "{i}"}}', **as_json)[0]
            for i in range(12)
        ]
        status, _, headers = send(address, "POST", "/api/sign-in", '{"token": "right"}', **as_json)
        cookie = headers["Set-Cookie"].split(";")[0]
        assert (wrong, status) == ([401] * 10 + [429] * 2, 200)
        assert send(address, "GET", "/api/model", Cookie=cookie)[0] == 200


def test_who_signs_in_sends_little(champion):
    as_json = {"Content-Type": "application/json"}
    with running(server.build(champion, Access(token="right"))) as address:
        large = json.dumps({"token": "x" * 20_000})
        assert send(address, "POST", "/api/sign-in", large, **as_json)[0] == 413
        assert send(address, "POST", "/api/sign-in", '{"token": "right"}', **as_json)[0] == 200
