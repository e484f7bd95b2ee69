"""What a person corrects on the page, the next champion knows; and the page trains it."""

import json
import os
import re
import shutil
import signal
import time
from urllib.parse import urlencode

import pandas as pd
import pytest
from app.test_recognition import send

from pipeline.sources.recipes.synthetic.collection import Drawn, draw

pytestmark = pytest.mark.slow
HORSES = Drawn(
    species=("horse",),
    per_species=30,
    size=128,
    seed=2,
    exact_duplicates=0,
    near_duplicates=0,
    broken=0,
)
CORRECTED = 20  # the other horses are shown to no network before it serves
JSON = {"Content-Type": "application/json"}


def request(address, method, path, body=None, **headers):
    status, answer, _ = send(address, method, f"/api/{path}", body, **headers)
    assert status == 200, answer
    return json.loads(answer)


def species(address, files):
    """Names each photo, as the page does."""
    answers = [request(address, "POST", "answer?path=x.jpg", file.read_bytes()) for file in files]
    return [answer["answer"]["species"] for answer in answers]


def correct(address, path, answered, label):
    decision = {"kind": "species", "label": label, "who": "Anna", "answered": answered}
    request(address, "POST", f"feedback?{urlencode(decision)}", path.read_bytes())


def wait_for(condition, seconds):
    for _ in range(int(seconds * 2)):
        if condition():
            return
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


def training(address):
    return request(address, "GET", "training")["run"]


def start_and_kill(copy, address, source):
    """Starts a run and kills it in the second trial of its search, as a machine that goes off."""
    request(address, "POST", "training/start", json.dumps({"source": source}), **JSON)
    searched = lambda: "\ntrial   0" in "\n".join(training(address)["log"])  # noqa: E731
    wait_for(lambda: searched() or not training(address)["running"], 600)
    assert searched(), training(address)["log"]
    pid = json.loads((copy.folder / ".cache/app/run.json").read_text())["pid"]
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: not training(address)["running"], 20)


def test_a_folder_and_twenty_corrections_become_a_champion_that_knows_them(project, tmp_path):
    """The champion knows no horses; in the folder they stand among the zebras."""
    copy, photos = project.copy(tmp_path / "project"), tmp_path / "photos"
    copy.set(**{"tune.trials": 2, "register.max_drop": 1.0})
    shutil.copytree(project.folder / "data/ingested/files", photos)
    draw(HORSES, tmp_path / "drawn")
    horses = sorted((tmp_path / "drawn/horse").iterdir())
    for path in horses[:CORRECTED]:
        shutil.copyfile(path, photos / "zebra" / f"horse {path.name}")
    app = ["animal", "app", "--feedback", "data/feedback", "--folders", str(tmp_path)]
    with copy.listening(*app, ready="/health") as (address, _):
        wait_for(lambda: request(address, "GET", "model").get("version"), 60)
        former = request(address, "GET", "model")
        answers = species(address, horses)
        for path, answered in zip(horses[:CORRECTED], answers, strict=False):
            correct(address, path, answered, "horse")
        start_and_kill(copy, address, "photos")
        first_log = (copy.folder / ".cache/app/run.log").read_text()
        assert training(address)["code"] is None
        request(address, "POST", "training/start", json.dumps({"source": "photos"}), **JSON)
        wait_for(lambda: not training(address)["running"], 600)
        run = training(address)
        assert run["code"] == 0, run["log"]
        states = {stage["name"]: stage["state"] for stage in run["stages"]}
        assert list(states.values()) == ["unchanged"] * 5 + ["done"] * 3, states
        wait_for(lambda: request(address, "GET", "model")["version"] != former["version"], 60)
        new, known = request(address, "GET", "model"), species(address, horses)
    assert "horse" not in [*former["species"], *answers]
    assert new["species"] == ["cat", "fish", "horse", "owl", "zebra"]
    manifest = pd.read_parquet(copy.folder / "data/ingested/manifest.parquet")
    corrected = manifest[manifest["path"].str.startswith("zebra/horse ")]
    assert set(corrected["species"]) == {"horse"} and len(corrected) == CORRECTED
    assert "photos of data/feedback: 20 relabelled, 0 added, 0 left out\n" in first_log
    last_log = (copy.folder / ".cache/app/run.log").read_text()
    trials = re.findall(r"^trial +(\d+)", last_log, re.MULTILINE)
    assert trials in (["1"], ["2"]), "the search goes on; a trial that was killed has a new number"
    trials = pd.read_csv(copy.folder / "models/tuned/trials.csv")
    finished = trials[trials["state"].isin(["complete", "pruned"])]
    assert len(finished) == 2 and not finished.filter(like=".").duplicated().any()
    assert known[:CORRECTED].count("horse") >= 18
    assert known[CORRECTED:].count("horse") >= 7, "of ten that nobody corrected"
