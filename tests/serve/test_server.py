"""What stands around MLflow's scoring server, and the whole against its own description."""

import base64
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import hypothesis
import pytest
import schemathesis
import uvicorn
from PIL import Image

from pipeline.inference import checksums
from pipeline.serve import server as serving


def png(colour, side=40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, 50), colour).save(file, "PNG")
    return file.getvalue()


RED = png("red")
IMAGE = {"Content-Type": "image/png"}


@contextmanager
def running(app):
    """The address of an application on a server in a thread, while the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def ask(address, body=None, headers=None) -> tuple[int, str]:
    request = urllib.request.Request(address, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def server(served_model):
    with running(serving.build(served_model)) as address:
        yield address


def form(name: str, data: bytes) -> tuple[bytes, dict]:
    part = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x.png"\r\n\r\n'
    return part.encode() + data + b"\r\n--b--\r\n", {
        "Content-Type": "multipart/form-data; boundary=b"
    }


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (RED, IMAGE),
        (RED, {"Content-Type": "application/octet-stream"}),
        (RED, {"Content-Type": "Image/JPEG; x=y"}),  # what it is, its bytes say
        form("photo", RED),
    ],
    ids=["image", "bytes", "another kind", "form"],
)
def test_a_photo_may_be_the_body_or_a_field_of_a_form(server, body, headers):
    status, answer = ask(f"{server}/predict?top_k=1", body, headers)
    assert status == 200
    answer = json.loads(answer)
    assert (answer["species"], len(answer["top"])) == ("red", 1)


def test_mlflow_answers_beside_it_and_the_same(server):
    body = {"dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(RED).decode()]]}}
    kind = {"Content-Type": "application/json"}
    _, rows = ask(f"{server}/invocations", json.dumps(body).encode(), kind)
    _, one = ask(f"{server}/predict", RED, IMAGE)
    assert json.loads(rows)["predictions"] == [json.loads(one)]


def test_of_many_at_once_each_gets_its_own_answer(server):
    """Forty requests by eight clients."""
    colours = ["red", "blue", "blue", "red", "blue"] * 8

    def asked(colour):
        return json.loads(ask(f"{server}/predict", png(colour), IMAGE)[1])["species"]

    with ThreadPoolExecutor(8) as clients:
        answered = list(clients.map(asked, colours))
    assert answered == ["red" if colour == "red" else "blue & co" for colour in colours]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("predict", b"no photo", IMAGE, 400),
        ("predict", b"", IMAGE, 400),
        ("predict", RED, {"Content-Type": "text/plain"}, 415),
        ("predict", *form("picture", RED), 415),
        ("predict", b"--x", {"Content-Type": "multipart/form-data; boundary=b"}, 400),
        ("predict", RED, {"Content-Type": "multipart/form-data"}, 400),
        ("predict?threshold=2", RED, IMAGE, 422),
        ("predict?top_k=0", RED, IMAGE, 422),
        ("invocations", b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        ("invocations", b"9" * 10_000, {"Content-Type": "application/json"}, 400),
        ("nowhere", RED, IMAGE, 404),
    ],
)
def test_what_is_wrong_is_the_senders_to_mend(server, path, body, headers, status):
    assert ask(f"{server}/{path}", body, headers)[0] == status


def test_health_readiness_and_counts(server):
    ask(f"{server}/predict", RED, IMAGE)
    assert ask(f"{server}/health")[0] == ask(f"{server}/ready")[0] == 200
    ask(f"{server}/another/path")
    status, counts = ask(f"{server}/metrics")
    assert status == 200
    assert 'animal_answers_total{species="red",unknown="false"}' in counts
    assert 'animal_requests_total{path="/predict",status="200"}' in counts
    assert 'animal_seconds_count{path="/predict"}' in counts
    assert 'path="other"' in counts
    assert "another" not in counts  # whoever asks for paths makes no new counters


def test_a_server_whose_model_fails_is_not_ready(served_model, monkeypatch):
    class Broken:
        metadata = served_model.metadata
        input_example = None

        def predict(self, data, params=None):
            raise RuntimeError("no memory")

    with running(serving.build(Broken())) as address:
        assert ask(f"{address}/ready")[0] == 503
        assert ask(f"{address}/health")[0] == 200


def test_a_token_is_asked_for_everywhere_but_at_the_health_checks(served_model):
    with running(serving.build(served_model, token="s3cret")) as address:
        for wrong in ({}, {"Authorization": "Bearer S3cret"}, {"Authorization": "s3cret"}):
            assert ask(f"{address}/predict", RED, IMAGE | wrong)[0] == 401
            assert ask(f"{address}/metrics", headers=wrong)[0] == 401
        right = {"Authorization": "Bearer s3cret"}
        assert ask(f"{address}/predict", RED, IMAGE | right)[0] == 200
        assert ask(f"{address}/health")[0] == ask(f"{address}/ready")[0] == 200


def raw(address: str, *parts: bytes, pause: float = 0, half: bool = False) -> bytes:
    """What a server says to bytes that come in parts."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        if half:
            connection.shutdown(socket.SHUT_WR)
        return connection.recv(1000)


def test_too_large_and_too_slow_bodies_are_refused(served_model):
    with running(serving.build(served_model, megabytes=0.01, seconds=0.3)) as address:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        claimed = raw(address, head + b"Content-Length: 99999999\r\n\r\n")
        assert claimed.startswith(b"HTTP/1.1 413")
        chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
        unclaimed = raw(address, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert unclaimed.startswith(b"HTTP/1.1 413")
        slow = raw(address, head + b"Content-Length: 9\r\n\r\n", b"a", pause=0.2)
        assert slow.startswith(b"HTTP/1.1 408")
        assert raw(address, head + b"Content-Length: 9\r\n\r\nabc", half=True) == b""
        assert ask(f"{address}/predict", RED, IMAGE)[0] == 200


def test_the_log_has_a_line_a_photo_and_never_the_photo(served_model, tmp_path):
    log = tmp_path / "log.jsonl"
    with running(serving.build(served_model, log=log)) as address:
        ask(f"{address}/predict", RED, IMAGE)
        ask(f"{address}/predict", b"no photo", IMAGE)
        image = base64.b64encode(png("blue", 60)).decode()
        body = {"inputs": {"image": ["", image]}, "params": {"on_error": "row"}}
        kind = {"Content-Type": "application/json"}
        ask(f"{address}/invocations", json.dumps(body).encode(), kind)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["species"]) for line in lines] == [
        (200, "red"),
        (400, None),
        (200, None),
        (200, "blue & co"),
    ]
    assert list(lines[0]) == [
        "time",
        "version",
        "species",
        "probability",
        "unknown",
        "photo",
        "width",
        "height",
        "brightness",
        "sharpness",
        "milliseconds",
        "status",
    ]
    assert (lines[3]["width"], lines[3]["height"]) == (60, 50)
    assert lines[0]["version"] == "m-0"
    assert lines[0]["sharpness"] == 0
    assert lines[0]["milliseconds"] > 0
    assert list(tmp_path.iterdir()) == [log]


def test_photos_are_kept_only_if_that_is_asked(served_model, tmp_path):
    with running(serving.build(served_model, keep=tmp_path)) as address:
        ask(f"{address}/predict", RED, IMAGE)
        ask(f"{address}/predict", b"no photo", IMAGE)
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == RED
    assert kept.name == hashlib.sha256(RED).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(
    hypothesis.__version_info__ >= (6, 136),
    reason="schemathesis 3.39 cannot draw bodies with this version of hypothesis",
)
def test_the_server_does_what_its_description_says(served_model):
    with running(serving.build(served_model)) as address:
        schemathesis.experimental.OPEN_API_3_1.enable()
        schema = schemathesis.from_uri(f"{address}/openapi.json")

        @hypothesis.settings(
            max_examples=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=schema.as_strategy())
        def check(case):
            case.call_and_validate(timeout=20)

        assert {"/invocations", "/predict", "/metrics", "/ready"} <= set(schema.raw_schema["paths"])
        check()
        assert ask(f"{address}/predict", RED, IMAGE)[0] == 200


@pytest.mark.slow
def test_animal_serve_runs_the_models_own_copies_of_our_code(model_folder, tmp_path):
    """The copy of `decoding.py` in the model says so when it is imported."""
    copy = shutil.copytree(model_folder, tmp_path / "model")
    with (copy / "code/pipeline/photos.py").open("a") as file:
        file.write("\nprint('the copy', flush=True)\n")
    checksums.seal(copy)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-c", "from pipeline.cli import main; main()", "serve", "--model", str(copy)]
    server = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        env=os.environ | {"ANIMAL_TOKEN": "t"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        for line in server.stdout:
            said.append(line)
            if "Uvicorn running" in line:
                break
        assert ask(f"http://127.0.0.1:{port}/predict", RED, IMAGE)[0] == 401
        right = IMAGE | {"Authorization": "Bearer t"}
        assert ask(f"http://127.0.0.1:{port}/predict", RED, right)[0] == 200
    finally:
        server.terminate()
        server.wait(timeout=20)
    assert said.count("the copy\n") == 1
