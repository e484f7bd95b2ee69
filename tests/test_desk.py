import asyncio
import json
import logging
import sys
import threading

import pytest
from mlflow.exceptions import MlflowException

from pipeline import desk


def test_what_is_handed_in_first_is_answered_first(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    answered, hold = [], threading.Event()
    with desk.Desk() as at_work:
        at_work.submit(hold.wait)
        for number in range(20):
            at_work.submit(answered.append, number)
        hold.set()
    assert answered == list(range(20))


@pytest.mark.parametrize("body", ["[" * 100_000, "9" * 10_000])
def test_a_body_that_cannot_be_read_is_the_senders_mistake(body):
    with desk.Desk() as at_work, pytest.raises(MlflowException) as refused:
        at_work.submit(json.loads, body).result()
    assert refused.value.get_http_status_code() == 400
    assert "the request cannot be read" in refused.value.message


def test_neither_a_long_body_nor_a_traceback_comes_back():
    def fail():
        raise MlflowException("x" * 10_000, stack_trace="File secret.py, line 1")

    with desk.Desk() as at_work, pytest.raises(MlflowException) as refused:
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


async def executor():
    return asyncio.get_running_loop()._default_executor


def test_only_the_scoring_server_gets_a_desk(monkeypatch, log):
    monkeypatch.delitem(sys.modules, "mlflow.pyfunc.scoring_server.app", raising=False)
    desk.open_in_server()
    assert not log.filters


def test_a_server_that_loads_its_model_before_it_starts_gets_its_desk_when_it_starts(
    monkeypatch, log
):
    async def started():
        log.warning("Started server process")  # uvicorn informs, and shows that
        return await executor()

    monkeypatch.setitem(sys.modules, "mlflow.pyfunc.scoring_server.app", None)
    desk.open_in_server()
    assert asyncio.run(executor()) is None
    assert isinstance(asyncio.run(started()), desk.Desk)


def test_a_server_that_runs_already_gets_its_desk_at_once(monkeypatch, log):
    async def loaded():
        desk.open_in_server()
        return await executor()

    monkeypatch.setitem(sys.modules, "mlflow.pyfunc.scoring_server.app", None)
    assert isinstance(asyncio.run(loaded()), desk.Desk)
