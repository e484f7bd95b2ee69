"""The real server: what it answers is what evaluate wrote down."""

import base64
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core import tracking

pytestmark = pytest.mark.slow


def ask(address: str, body: dict) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"{address}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def frame(*images: bytes) -> dict:
    rows = [[base64.b64encode(image).decode()] for image in images]
    return {"dataframe_split": {"columns": ["image"], "data": rows}}


@pytest.fixture(scope="module")
def server(project):
    with project.served("--env-manager", "local") as (address, pid):
        yield address, pid


@pytest.fixture(scope="module")
def tested(project) -> pd.DataFrame:
    table = pd.read_csv(project.folder / "reports/predictions.csv")
    top = project.folder / "data/ingested/files"
    return table.assign(data=[(top / path).read_bytes() for path in table["path"]])


def test_every_test_photo_is_answered_as_evaluate_wrote_down(server, tested):
    for row in tested.itertuples():
        status, answer = ask(server[0], frame(row.data))
        assert status == 200
        (prediction,) = answer["predictions"]
        assert prediction["species"] == row.predicted
        assert prediction["probability"] == pytest.approx(row.probability, abs=1e-6)
        assert len(prediction["top"]) == 3
        assert prediction["top"][0]["species"] == row.predicted


def test_many_rows_and_many_clients_get_the_same_answers(server, tested):
    _, together = ask(server[0], frame(*tested["data"]))
    labels = [prediction["species"] for prediction in together["predictions"]]
    assert labels == tested["predicted"].tolist()
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda data: ask(server[0], frame(data)), tested["data"]))
    assert [a["predictions"][0]["species"] for _, a in answers] == labels


def test_the_other_json_form_works_too(server, tested):
    image = base64.b64encode(tested["data"][0]).decode()
    status, answer = ask(server[0], {"inputs": {"image": [image]}})
    assert status == 200
    assert answer["predictions"][0]["species"] == tested["predicted"][0]


@pytest.mark.parametrize("bad", [b"hello", b"", b"\xff\xd8\xff\xe0 no more", b"<html></html>"])
def test_a_body_that_is_no_photo_is_a_400_that_names_the_row(server, tested, bad):
    status, answer = ask(server[0], frame(tested["data"][0], bad))
    assert status == 400
    assert answer["message"].startswith("row 1 of `image` is not a photo that can be read: ")
    assert "\n" not in answer["message"]


@pytest.mark.parametrize("cell", [None, 3, {"a": 1}, "no base64!"])
def test_a_cell_that_is_no_bytes_is_a_400(server, cell):
    status, _ = ask(server[0], {"dataframe_split": {"columns": ["image"], "data": [[cell]]}})
    assert status == 400


def test_the_server_loads_no_tensorflow(server):
    children = Path(f"/proc/{server[1]}/task/{server[1]}/children")
    if not children.exists():
        pytest.skip("needs Linux's /proc to look into the server's process")
    pids = [server[1]]
    for pid in pids:
        pids += [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in pids]
    assert any("ai_edge_litert" in text for text in maps)
    assert not any("tensorflow" in text for text in maps)


def test_a_served_model_carries_the_code_it_needs_and_no_more(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder / 'mlflow.db'}")
    path = Path(tracking.mlflow().artifacts.download_artifacts("models:/animal/Production"))
    code = sorted(
        file.relative_to(path / "code/pipeline").stem for file in (path / "code").rglob("*.py")
    )
    folder = Path(__file__).parents[2] / "src/pipeline/inference"
    assert code == sorted(["__init__", *(file.stem for file in folder.glob("*.py"))])
    needs = (path / "requirements.txt").read_text()
    assert needs.startswith("mlflow-skinny==")
    assert "tensorflow" not in needs
