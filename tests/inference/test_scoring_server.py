"""MLflow's scoring server with a model of ours: malformed bodies are the sender's mistake.

These tests go through MLflow's own application, so they fail if a later MLflow no longer calls what
`scoring_server` wraps, or wraps it in something that answers 500.
"""

import base64
import json
import sys
from types import ModuleType

import pytest
from mlflow.pyfunc import scoring_server as mlflows
from starlette.testclient import TestClient

from pipeline.inference import scoring_server

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def post(served_model, monkeypatch):
    """Posts to MLflow's application as it is once a model of ours was loaded by it."""
    monkeypatch.setattr(mlflows, "invocations", mlflows.invocations)  # put back at the end
    scoring_server.refuse_malformed_bodies()
    client = TestClient(mlflows.init(served_model), raise_server_exceptions=False)
    return lambda body, headers=JSON: client.post("/invocations", content=body, headers=headers)


MALFORMED = [b"[" * 100_000, b"9" * 10_000, b'{"dataframe_split": 3}', b"\xff"]


@pytest.mark.parametrize("body", MALFORMED, ids=["nested", "digits", "number", "bytes"])
def test_a_body_that_cannot_be_read_is_the_senders_mistake(post, body):
    response = post(body)
    assert response.status_code == 400
    assert len(response.content) < 700, "the body does not come back"
    assert "File " not in response.text, "nor does a traceback"


def test_a_request_without_a_content_type_is_the_senders_mistake(post):
    response = post(b"{}", {})
    assert response.status_code == 400
    assert "the request cannot be read" in response.json()["message"]


def test_mlflow_alone_answers_500_so_the_wrapper_is_still_needed(served_model):
    """If this fails, MLflow has learned it: `scoring_server.py` can go."""
    client = TestClient(mlflows.init(served_model), raise_server_exceptions=False)
    response = client.post("/invocations", content=MALFORMED[0], headers=JSON)
    assert response.status_code == 500


def test_a_good_body_is_answered_and_a_bad_row_gets_our_sentence_alone(post):
    split = {"columns": ["image"], "data": [[base64.b64encode(b"no photo").decode()]]}
    response = post(json.dumps({"dataframe_split": split}).encode())
    assert response.status_code == 400
    assert response.json()["message"].startswith("row 0 of `image` is not a photo")
    ok = post(json.dumps({"dataframe_split": split | {"data": []}}).encode())
    assert (ok.status_code, ok.json()) == (200, {"predictions": []})


def test_it_is_wrapped_once(post):
    wrapped = mlflows.invocations
    scoring_server.refuse_malformed_bodies()
    assert mlflows.invocations is wrapped
    assert not hasattr(wrapped.__wrapped__, "__wrapped__")


def test_only_in_the_scoring_servers_process_is_anything_wrapped(monkeypatch):
    monkeypatch.delitem(sys.modules, "mlflow.pyfunc.scoring_server.app", raising=False)
    assert not scoring_server.is_loading()
    name = "mlflow.pyfunc.scoring_server.app"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert scoring_server.is_loading()
