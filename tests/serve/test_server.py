"""`animal serve`: its routes, its limits, its log, and the whole against its own description."""

import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import hypothesis
import pandas as pd
import pytest
import schemathesis
from local_server import running
from mlflow.exceptions import MlflowException
from PIL import Image

from pipeline.inference import decoding
from pipeline.inference.recogniser import Recogniser
from pipeline.serve import server as serving
from pipeline.serve.request_guard import Limits
from pipeline.serve.request_log import RequestLog


def png(colour, side=40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, 50), colour).save(file, "PNG")
    return file.getvalue()


RED = png("red")
IMAGE = {"Content-Type": "image/png"}


def ask(address, body=None, headers=None) -> tuple[int, str]:
    request = urllib.request.Request(address, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def model(recogniser):
    return Recogniser(recogniser)


@pytest.fixture(scope="module")
def server(model):
    with running(serving.build(model, "7")) as address:
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


JSON = {"Content-Type": "application/json"}


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def parquet(*images: bytes) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"image": images, "other": range(len(images))}).to_parquet(file)
    return file.getvalue()


BATCHES = {
    "split": (JSON, lambda images: {"dataframe_split": {"columns": ["image"], "data": images}}),
    "split, more columns": (
        JSON,
        lambda images: {
            "dataframe_split": {
                "columns": ["id", "image"],
                "data": [[7, *row] for row in images],
                "index": [*range(len(images))],
            }
        },
    ),
    "records": (JSON, lambda images: {"dataframe_records": [{"image": i} for (i,) in images]}),
    "inputs": (JSON, lambda images: {"inputs": {"image": [i for (i,) in images]}}),
    "instances": (JSON, lambda images: {"instances": [{"image": i} for (i,) in images]}),
}


def sent(form: str, *photos: bytes) -> tuple[bytes, dict]:
    """The body and headers of a batch in one of the forms."""
    encoded = [[in_base64(photo)] for photo in photos]
    if form == "csv":
        lines = ["number,image", *(f"{i},{row[0]}" for i, row in enumerate(encoded))]
        return "\n".join(lines).encode(), {"Content-Type": "text/csv; charset=UTF-8"}
    if form == "parquet":
        return parquet(*photos), {"Content-Type": "application/vnd.apache.parquet"}
    headers, body = BATCHES[form]
    return json.dumps(body(encoded)).encode(), headers


@pytest.mark.parametrize("form", [*BATCHES, "csv", "parquet"])
def test_a_batch_in_every_form_gets_the_answers_that_its_photos_get_alone(server, form):
    photos = [png("blue"), RED, png((130, 60, 120)), png("blue", 60)]
    alone = [json.loads(ask(f"{server}/predict", photo, IMAGE)[1]) for photo in photos]
    status, answer = ask(f"{server}/invocations", *sent(form, *photos))
    assert (status, json.loads(answer)) == (200, {"predictions": alone})
    assert [row["species"] for row in alone][:2] == ["blue & co", "red"]
    assert {row["version"] for row in alone} == {"7"}


def test_it_answers_as_mlflows_scoring_server_does(server, served_model, monkeypatch):
    """All but the version, which MLflow takes from the registry."""
    from mlflow.pyfunc import scoring_server

    schema = served_model.metadata.get_input_schema()
    for form in ("split", "records", "csv"):
        body, headers = sent(form, RED, png("blue"))
        theirs = scoring_server.invocations(body, headers["Content-Type"], served_model, schema)
        ours = json.loads(ask(f"{server}/invocations", body, headers)[1])["predictions"]
        expected = [row | {"version": "7"} for row in json.loads(theirs.response)["predictions"]]
        assert ours == expected, form


def test_a_box_is_taken_as_mlflows_scoring_server_does(server, served_model):
    """The model learned from whole photos, so that a box changes nothing; a bad one is refused."""
    from mlflow.pyfunc import scoring_server

    schema = served_model.metadata.get_input_schema()
    body = json.loads(sent("split", RED)[0])
    for boxes, expected in (([0, 0.1, 0.5, 1 / 3], 200), ([0, 0, 2, 1], 400), ([0], 400)):
        written = json.dumps(body | {"params": {"boxes": boxes}}).encode()
        status, answer = ask(f"{server}/invocations", written, JSON)
        query = "&".join(f"boxes={number}" for number in boxes)
        alone, uploaded = ask(f"{server}/predict?{query}", RED, IMAGE)
        assert status == alone == expected
        if expected == 200:
            theirs = scoring_server.invocations(written, "application/json", served_model, schema)
            assert json.loads(theirs.response)["predictions"][0]["species"] == "red"
            assert json.loads(answer)["predictions"] == [json.loads(uploaded)]
        else:
            with pytest.raises(MlflowException) as refused:
                scoring_server.invocations(written, "application/json", served_model, schema)
            assert refused.value.message == json.loads(answer)["message"]
            assert json.loads(uploaded)["message"] == json.loads(answer)["message"]


def test_the_params_of_a_batch_are_heeded(server):
    body = json.loads(sent("split", RED, b"no photo")[0])
    body["params"] = {"top_k": 1, "threshold": 1.0, "on_error": "row"}
    status, answer = ask(f"{server}/invocations", json.dumps(body).encode(), JSON)
    red, broken = json.loads(answer)["predictions"]
    assert (status, len(red["top"]), red["unknown"], red["error"]) == (200, 1, True, None)
    assert broken["error"].startswith("row 1 of `image` is not a photo")


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (b"{", "application/json", 400, "the body is not valid JSON: "),
        (b"[" * 100_000, "application/json", 400, "the body is not valid JSON: "),
        (b"9" * 10_000, "application/json", 400, "the body is not valid JSON: "),
        (b"[1]", "application/json", 400, "the body is list, not an object"),
        (b"{}", "application/json", 400, "exactly one of dataframe_split, "),
        (b'{"inputs": [], "instances": []}', "application/json", 400, "exactly one of"),
        (b'{"inputs": [], "parms": {}}', "application/json", 400, "unknown key 'parms'"),
        (b'{"inputs": [], "params": 3}', "application/json", 400, "params is int"),
        (b'{"inputs": [], "params": {"top": 3}}', "application/json", 400, "unknown param 'top'"),
        (b'{"inputs": [], "params": {"top_k": "3"}}', "application/json", 400, "top_k is '3'; it"),
        (b'{"inputs": {"image": 3}}', "application/json", 400, "inputs must have a list `image`"),
        (b'{"instances": ["x"]}', "application/json", 400, "row 0 of instances is not an object"),
        (b'{"dataframe_records": {"image": []}}', "application/json", 400, "is dict, not a list"),
        (b'{"dataframe_split": {"columns": ["x"], "data": []}}', "application/json", 400, "no col"),
        (
            b'{"dataframe_split": {"columns": ["image"], "data": [["a", "b"]]}}',
            "application/json",
            400,
            "row 0 of dataframe_split is not a list of 1",
        ),
        (b"photo\nabc", "text/csv", 400, "the CSV has no column `image`"),
        (b'a,b\n1,2,3\n"', "text/csv", 400, "not valid CSV"),
        (b"\xff\xfe", "text/csv", 400, "not valid CSV"),
        (b"", "text/csv", 400, "not valid CSV"),
        (b"PAR1", "application/vnd.apache.parquet", 400, "not Parquet with a column `image`"),
        (b"{}", "application/json; charset=latin-1", 415, "the charset is 'latin-1'"),
        (RED, "image/png", 415, "Content-Type is 'image/png'; valid: application/json, "),
    ],
)
def test_a_batch_that_does_not_follow_the_format_is_refused_in_a_sentence(
    server, body, kind, status, sentence
):
    code, answer = ask(f"{server}/invocations", body, {"Content-Type": kind})
    assert code == status
    assert sentence in json.loads(answer)["message"]


def test_parquet_without_the_column_is_refused(server):
    body = parquet(RED).replace(b"image", b"photo")
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    assert ask(f"{server}/invocations", body, kind)[0] == 400


def test_a_photo_is_decoded_once_even_for_the_log(recogniser, tmp_path, monkeypatch):
    from pipeline.inference import decoding

    calls, read = [], decoding.read
    monkeypatch.setattr(decoding, "read", lambda *a, **k: calls.append(1) or read(*a, **k))
    monkeypatch.setattr(decoding, "inspect", None)  # it decodes too
    log = RequestLog(tmp_path / "log.jsonl", tmp_path)
    with running(serving.build(Recogniser(recogniser), "7", log=log)) as address:
        answer = json.loads(ask(f"{address}/predict", RED, IMAGE)[1])
    assert len(calls) == 1
    assert "brightness" not in answer, "what the log measures is no part of the answer"


def test_an_upright_size_is_that_of_the_photo_as_it_is_seen():
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
    assert decoding.upright_size(file.getvalue()) == (30, 40)
    assert decoding.upright_size(png("red")) == (40, 50)


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
        ("nowhere", RED, IMAGE, 404),
    ],
)
def test_what_is_wrong_is_the_senders_to_mend(server, path, body, headers, status):
    assert ask(f"{server}/{path}", body, headers)[0] == status


def test_health_readiness_and_counts(server):
    ask(f"{server}/predict", RED, IMAGE)
    assert [ask(f"{server}/{path}")[0] for path in ("health", "ping", "ready")] == [200] * 3
    assert ask(f"{server}/version") == (200, "7")
    ask(f"{server}/another/path")
    status, counts = ask(f"{server}/metrics")
    assert status == 200
    assert 'animal_answers_total{kind="species",species="red"}' in counts
    assert 'animal_requests_total{path="/predict",status="200"}' in counts
    assert 'animal_seconds_count{path="/predict"}' in counts
    assert 'path="other"' in counts
    assert "another" not in counts  # whoever asks for paths makes no new counters


def test_a_server_whose_network_fails_is_not_ready(recogniser, monkeypatch):
    broken = Recogniser(recogniser)
    monkeypatch.setattr(broken.network, "one", Mock(side_effect=RuntimeError("no memory")))
    with running(serving.build(broken, "7")) as address:
        assert ask(f"{address}/ready")[0] == 503
        assert ask(f"{address}/health")[0] == 200


def test_a_token_is_required_everywhere_but_at_the_health_checks(model):
    with running(serving.build(model, "7", Limits("s3cret"))) as address:
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


def test_too_large_and_too_slow_bodies_are_refused(model):
    with running(serving.build(model, "7", Limits(megabytes=0.01, seconds=0.3))) as address:
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


def test_the_log_has_a_line_a_photo_and_never_the_photo(model, tmp_path):
    log = tmp_path / "log.jsonl"
    with running(serving.build(model, "7", log=RequestLog(log))) as address:
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
        "kind",
        "photo",
        "width",
        "height",
        "brightness",
        "sharpness",
        "milliseconds",
        "status",
    ]
    assert (lines[3]["width"], lines[3]["height"]) == (60, 50)
    assert lines[0]["version"] == "7"
    assert lines[0]["sharpness"] == 0
    assert lines[0]["milliseconds"] > 0
    assert list(tmp_path.iterdir()) == [log]


def test_photos_are_stored_where_that_is_wanted_and_replace_nothing(model, tmp_path):
    with running(serving.build(model, "7", log=RequestLog(photos=tmp_path))) as address:
        ask(f"{address}/predict", RED, IMAGE)
        ask(f"{address}/predict", b"no photo", IMAGE)
    (photo,) = tmp_path.iterdir()
    assert photo.read_bytes() == RED
    assert photo.name == hashlib.sha256(RED).hexdigest()


def test_a_file_that_has_the_name_of_a_photo_stays_as_it_is(model, tmp_path):
    other = tmp_path / hashlib.sha256(RED).hexdigest()
    other.write_bytes(b"somebody's")
    with running(serving.build(model, "7", log=RequestLog(photos=tmp_path))) as address:
        assert ask(f"{address}/predict", RED, IMAGE)[0] == 200
    assert other.read_bytes() == b"somebody's"


@pytest.mark.slow
@pytest.mark.skipif(
    hypothesis.__version_info__ >= (6, 136),
    reason="schemathesis 3.39 cannot draw bodies with this version of hypothesis",
)
def test_the_server_does_what_its_description_says(model):
    with running(serving.build(model, "7")) as address:
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
def test_animal_serve_answers_and_wants_its_token(model_folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-c", "from pipeline.cli import main; main()", "serve", "--model", str(model_folder)]
    server = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        env=os.environ | {"ANIMAL_TOKEN": "t"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in server.stdout:
            if "Uvicorn running" in line:
                break
        assert ask(f"http://127.0.0.1:{port}/predict", RED, IMAGE)[0] == 401
        right = IMAGE | {"Authorization": "Bearer t"}
        assert ask(f"http://127.0.0.1:{port}/predict", RED, right)[0] == 200
    finally:
        server.terminate()
        server.wait(timeout=20)
