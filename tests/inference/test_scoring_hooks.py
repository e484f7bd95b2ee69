import asyncio
import json
import logging
import sys
import threading
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from mlflow.exceptions import MlflowException

from pipeline.inference import scoring_hooks


def test_what_is_handed_in_first_is_answered_first(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    answered, hold = [], threading.Event()
    with scoring_hooks.Desk() as at_work:
        at_work.submit(hold.wait)
        for number in range(20):
            at_work.submit(answered.append, number)
        hold.set()
    assert answered == list(range(20))


@pytest.mark.parametrize("body", ["[" * 100_000, "9" * 10_000])
def test_a_body_that_cannot_be_read_is_the_senders_mistake(body):
    with scoring_hooks.Desk() as at_work, pytest.raises(MlflowException) as refused:
        at_work.submit(json.loads, body).result()
    assert refused.value.get_http_status_code() == 400
    assert "the request cannot be read" in refused.value.message


def test_neither_a_long_body_nor_a_traceback_comes_back():
    def fail():
        raise MlflowException("x" * 10_000, stack_trace="File secret.py, line 1")

    with scoring_hooks.Desk() as at_work, pytest.raises(MlflowException) as refused:
        at_work.submit(fail).result()
    said = refused.value.serialize_as_json()
    assert len(said) < 700
    assert "secret" not in said


@pytest.fixture
def log():
    logger = logging.getLogger("uvicorn.error")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(level)
    logger.filters.clear()


@pytest.fixture
def app(monkeypatch):
    """What stands in for the scoring server's application."""
    app = FastAPI()
    server = SimpleNamespace(app=app)
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc.scoring_server.app", server)
    return app


async def opened(app) -> bool:
    await asyncio.sleep(0)
    at_work = isinstance(asyncio.get_running_loop()._default_executor, scoring_hooks.Desk)
    counters = [middleware.cls for middleware in app.user_middleware]
    assert counters == [scoring_hooks.Counter] * at_work
    return at_work


def test_only_the_scoring_server_gets_a_desk(monkeypatch, log):
    monkeypatch.delitem(sys.modules, "mlflow.pyfunc.scoring_server.app", raising=False)
    scoring_hooks.open_in_server(str)
    assert not log.filters


def test_a_server_that_loads_its_model_before_it_starts_gets_its_desk_when_it_starts(app, log):
    async def started():
        log.warning("Started server process")  # uvicorn informs, and shows that
        log.warning("Application startup complete.")
        return await opened(app)

    scoring_hooks.open_in_server(str)
    assert not asyncio.run(opened(app))
    assert asyncio.run(started())


def test_a_server_that_runs_already_gets_its_desk_at_once(app, log):
    async def loaded():
        scoring_hooks.open_in_server(str)
        return await opened(app)

    assert asyncio.run(loaded())


def split(*rows, **more) -> bytes:
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": rows} | more}).encode()


def asked(*parts: bytes, whole=True, **scope) -> tuple[int, bytes]:
    """Status and answer of a counter that answers a photo with its length, and has an application
    behind it that answers a body with a greeting."""

    async def behind(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 222})
        await send({"type": "http.response.body", "body": b"hello, " + body})

    waiting = [{"body": part, "more_body": True} for part in parts]
    waiting[-1]["more_body"] = not whole
    sent = []

    async def receive():
        if not waiting:
            await asyncio.sleep(60)
        return {"type": "http.request"} | waiting.pop(0)

    async def send(message):
        sent.append(message)

    head = {"type": "http", "method": "POST", "path": "/invocations"}
    kind = {"headers": [(b"content-type", b"application/json")]}
    counter = scoring_hooks.Counter(behind, answer=lambda image: {"length": len(image)})
    asyncio.run(counter(head | kind | scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_one_photo_is_answered_at_once():
    body = split(["abcd"])
    assert asked(body) == asked(body[:30], body[30:]) == (200, b'{"predictions": [{"length": 4}]}')


@pytest.mark.parametrize(
    "body",
    [
        split(),
        split([]),
        split(["a"], ["b"]),
        split(["a", "b"]),
        split(["a"], index=[7]),
        split(["a"]).replace(b"image", b"photo"),
        split([None]),
        split(["a"])[:-1] + b', "params": {"top_k": 1}}',
        b'{"inputs": {"image": ["a"]}}',
        b"[]",
        b"nonsense",
        b"\xff",
        b"[" * 100_000,
        b"9" * 10_000,
        b"",
    ],
)
def test_whatever_else_is_asked_and_whatever_fails_goes_mlflows_way(body):
    assert asked(body) == asked(body[:20], body[20:]) == (222, b"hello, " + body)


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/ping"},
        {"method": "PUT"},
        {"headers": []},
        {"headers": [(b"content-type", b"text/csv")]},
    ],
)
def test_other_paths_and_kinds_of_bodies_go_mlflows_way(scope):
    assert asked(split(["abcd"]), **scope) == (222, b"hello, " + split(["abcd"]))


def test_a_body_that_does_not_arrive_in_time_is_refused(monkeypatch):
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "0")
    status, answer = asked(b'{"dataframe', b"_split", whole=False)
    assert status == 408
    assert "in time" in json.loads(answer)["message"]
