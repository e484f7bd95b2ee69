"""Recipes through the stage that a user runs, killed in the midst and run again."""

import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import web as answers
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
OBSERVED = {
    "user": {"login": "ann"},
    "time_observed_at": "2020-08-27T08:57:22-06:00",
    "location": "50.1,-104.7",
}
pytestmark = pytest.mark.slow


class Ingest:
    """The stage in a folder of its own."""

    def __init__(self, folder: Path, recipe: dict):
        self.folder = folder
        folder.mkdir()
        yaml = YAML()
        params = yaml.load(REPOSITORY / "params.yaml")
        params["ingest"] |= {"source": "recipe.yaml", "min_per_species": 3}
        params["parallel"]["jobs"] = 1
        yaml.dump(params, folder / "params.yaml")
        yaml.dump(recipe, folder / "recipe.yaml")

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, REPOSITORY / "stages" / "ingest.py"],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> str:
        running = self.start()
        said = running.communicate(timeout=120)[0]
        assert running.returncode == 0, said
        return said

    def kill_when(self, ready) -> None:
        running = self.start()
        while not ready():
            assert running.poll() is None, running.communicate()[0]
            time.sleep(0.01)
        running.kill()
        running.communicate()
        assert not self.manifest.exists()

    @property
    def downloads(self) -> Path:
        return self.folder / ".cache" / "downloads"

    @property
    def manifest(self) -> Path:
        return self.folder / "data" / "ingested" / "manifest.parquet"


def test_killed_fetch_of_an_archive_goes_on_where_it_was(web, drawn_photos, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.bin", os.urandom(2 << 20))
        for photo in sorted(drawn_photos.rglob("*.jpg")):
            archive.write(photo, photo.relative_to(drawn_photos))
    content = buffer.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    url = web.put("/a.zip", answers.whole(content, pause=0.05), answers.whole(content))
    recipe = {"kind": "archive", "licence": "CC0-1.0", "citation": "nobody"}
    recipe["archives"] = [{"url": url, "size": len(content), "sha256": sha256}]
    killed, undisturbed = (Ingest(tmp_path / name, recipe) for name in ("killed", "undisturbed"))

    partial = killed.downloads / f"{sha256}.partial"
    killed.kill_when(lambda: partial.exists() and partial.stat().st_size > 300_000)
    arrived = partial.stat().st_size
    assert arrived < len(content)
    killed.run()
    assert web.requests == [("/a.zip", 0), ("/a.zip", arrived)]

    undisturbed.run()
    assert killed.manifest.read_bytes() == undisturbed.manifest.read_bytes()
    manifest = pd.read_parquet(killed.manifest)
    assert len(manifest) == 24
    assert set(manifest["licence"]) == {"CC0-1.0"}
    assert set(manifest["origin"]) == {url}


def test_killed_fetch_of_observations_goes_on_where_it_was(web, drawn_photos, tmp_path):
    taxa = {"cat": 1, "owl": 2}
    observations = {number: [] for number in taxa.values()}
    for species, number in taxa.items():
        for place, photo in enumerate(sorted((drawn_photos / species).iterdir())):
            taken = 100 * number + place
            answer = answers.whole(photo.read_bytes(), "image/jpeg", pause=0.15)
            url = web.put(f"/photos/{taken}/medium.jpg", answer).replace("medium", "square")
            if place % 2 == 0:  # two photos an observation
                at = {"time_observed_at": f"2020-08-27T0{number}:{10 * place:02}:22-06:00"}
                observations[number].append({"id": taken, "photos": []} | OBSERVED | at)
            shot = {"id": taken, "license_code": "cc-by", "url": url}
            observations[number][-1]["photos"].append(shot)
    web.put(
        "/v1/taxa",
        answers.as_json(lambda asked: {"results": [{"id": taxa[asked["q"]], "name": asked["q"]}]}),
    )
    web.put(
        "/v1/observations",
        answers.as_json(lambda asked: {"results": observations[int(asked["taxon_id"])]}),
    )
    recipe = {"kind": "inaturalist", "species": {name: name for name in taxa}}
    recipe |= {"per_species": 6, "licences": ["cc-by"], "api": f"{web.address}/v1"}
    ingest = Ingest(tmp_path / "killed", recipe)

    kept = ingest.downloads / "inaturalist"
    ingest.kill_when(lambda: kept.exists() and len(list(kept.iterdir())) > 4)
    ingest.run()
    fetched = [path for path, _ in web.requests if "photos" in path]
    assert len(set(fetched)) == 12
    assert len(fetched) <= 13, "more was fetched twice than what was under way"
    manifest = pd.read_parquet(ingest.manifest)
    assert manifest["species"].value_counts().to_dict() == {"cat": 6, "owl": 6}
    assert list(manifest["group"].value_counts()) == [2] * 6
    for column, value in {
        "licence": "cc-by",
        "origin": "inaturalist",
        "location": "50.10,-104.70",
    }.items():
        assert set(manifest[column]) == {value}
    hours = {"cat": "01", "owl": "02"}
    for species, taken_at in zip(manifest["species"], manifest["taken_at"], strict=True):
        assert taken_at[:13] == f"2020-08-27T{hours[species]}"


def test_server_that_lies_is_told_in_one_sentence_and_leaves_nothing(web, tmp_path):
    url = web.put("/a.zip", answers.whole(b"something else"))
    archives = [{"url": url, "size": 14, "sha256": "0" * 64}]
    recipe = {"kind": "archive", "licence": "CC0", "citation": "nobody", "archives": archives}
    ingest = Ingest(tmp_path / "lied-to", recipe)
    running = ingest.start()
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 1
    assert f"error: {url} has another content than expected" in said
    assert "Traceback" not in said
    assert not list(ingest.downloads.iterdir())
    assert not list(ingest.folder.glob("data/ingested/*"))
