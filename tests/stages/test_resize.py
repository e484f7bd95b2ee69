"""What the resize stage makes of photos, by the params."""

import numpy as np
import pandas as pd
import pytest
import staged
from PIL import Image

from pipeline.core import workspace
from pipeline.dataset.shards import Shards
from pipeline.inference import decoding


@pytest.fixture
def folder(tmp_path):
    """Blue photos, 100 x 60 px, with a red subject at the right, whose upper half is green."""
    rows = []
    for number, species in enumerate(["cat", "owl", "cat"]):
        picture = np.zeros((60, 100, 3), np.uint8)
        picture[..., 2] = 200 + number
        picture[20:40, 70:90] = 200, 0, 0
        picture[20:30, 70:90] = 0, 200, 0
        path = tmp_path / "found" / species / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        name = path.relative_to(tmp_path / "found").as_posix()
        rows.append((decoding.identity(path.read_bytes()), name, species, 100, 60))
    table = pd.DataFrame(rows, columns=["photo", "path", "species", "width", "height"])
    table["box"] = pd.Series(["[[0.7, 0.33333333, 0.2, 0.33333333]]", None, None], dtype="str")
    # The subject of the second moves, and what moves most in the third is its upper half.
    detections = [None, "[[0.7, 0.33333333, 0.2, 0.33333333]]"]
    detections += ["[[0.7, 0.33333333, 0.2, 0.16666667], [0, 0, 0.5, 0.5]]"]
    table["detections"] = pd.Series(detections, dtype="str")
    sources = [None, '["motion"]', '["motion", "motion"]']
    table["detection_sources"] = pd.Series(sources, dtype="str")
    (tmp_path / "data/ingested/files").mkdir(parents=True)
    table.to_parquet(tmp_path / "data/ingested/manifest.parquet")
    workspace.write_collection(tmp_path / "data/ingested", tmp_path / "found")
    return tmp_path


def resized(folder, **lines):
    lines = {f"resize.{name}": value for name, value in lines.items()}
    staged.run("resize", folder, lines | {"resize.size": 40})
    written = Shards(folder / "data/resized")
    assert written.index["species"].unique().tolist() == ["cat", "owl"]
    return written, written.take(range(len(written))).astype(int)


def test_whole_photos_are_cropped_padded_or_stretched_as_params_say(folder):
    _, crop = resized(folder, fit="crop", crop="none")
    _, pad = resized(folder, fit="pad", crop="none")
    _, stretch = resized(folder, fit="stretch", crop="none")
    assert (pad[:, :7] == 128).all(), "padded photos have no grey above"
    assert not (crop[:, :7] == 128).all()
    # The subject begins at 50 of the middle 60 columns, and at 70 of all 100.
    assert np.abs(crop[:, 16, 35] - [0, 200, 0]).max() < 8
    assert np.abs(stretch[:, 16, 32] - [0, 200, 0]).max() < 8
    assert stretch[:, 16, 38, 2].min() > 190


def test_subjects_are_cut_out_with_the_margin_of_params_if_they_are_to_be(folder):
    written, pictures = resized(folder, crop="boxes", box_margin=0.0)
    assert written.index["box"].notna().tolist() == [True, False, False]
    assert np.abs(pictures[0, :18] - [0, 200, 0]).max() < 8
    assert np.abs(pictures[0, 22:] - [200, 0, 0]).max() < 8
    assert pictures[1:, 2, 2, 2].min() >= 200
    _, wider = resized(folder, crop="boxes", box_margin=0.5)
    assert np.abs(wider[0, :8] - [0, 0, 200]).max() < 8
    assert np.abs(wider[0, 22:28, 12:28] - [200, 0, 0]).max() < 8
    written, whole = resized(folder, crop="none")
    assert written.index["box"].isna().all()
    assert whole[:, 2, 2, 2].min() >= 200


def test_photos_have_views_where_most_are_of_bursts(folder):
    written, pictures = resized(folder, box_margin=0.0)
    # Of the first cat there is no more; the other is green around its middle; the owl is green
    # above red.
    assert written.index["view"].tolist() == [0, 0, 1, 2, 0, 1, 2]
    assert written.index["box"].isna().tolist() == [True, True, False, False, True, False, False]
    assert pictures[[0, 1, 4], 2, 2, 2].min() >= 200, "whole photos are blue"
    assert np.abs(pictures[2, 14:26, 4:36] - [0, 200, 0]).max() < 8
    assert np.abs(pictures[5, :18] - [0, 200, 0]).max() < 8
    assert np.abs(pictures[5, 22:] - [200, 0, 0]).max() < 8
    # Its 20 x 20 px, widened by half of them on each side: 40 px from (60, 10) on.
    assert np.abs(pictures[6, 12:18, 12:28] - [0, 200, 0]).max() < 8
    assert np.abs(pictures[6, 22:28, 12:28] - [200, 0, 0]).max() < 8
    assert pictures[6, 4, 4, 2] >= 200
    table = pd.read_parquet(folder / "data/ingested/manifest.parquet")
    found = ["detections", "detection_sources"]
    table[found] = table[found].where(table["species"] == "owl")
    table.to_parquet(folder / "data/ingested/manifest.parquet")
    written, _ = resized(folder, box_margin=0.0)
    assert written.index["box"].isna().all(), "one photo of three is too few"
    assert "view" not in written.index
    written, _ = resized(folder, box_margin=0.0, crop="views")
    assert written.index["view"].tolist() == [0, 0, 0, 1, 2]
