"""Clips of a collection: frames of them are its photos, and one event."""

import hashlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import staged
from pictures import film
from PIL import Image

CLIPS = {  # frames of each; of 40 of them 16 are kept
    "cat/walks.mp4": 5,
    "cat/walks on.AVI": 40,
    "owl/may/flies.mov": 7,
    "owl/sits.avi": 6,
}
KEPT = {path: min(length, 16) for path, length in CLIPS.items()}


def walk(length, seed):
    """Frames of a scene of its own through which something white walks."""
    rng = np.random.default_rng(seed)
    scene = rng.integers(60, 160, (12, 16, 3), dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    frames = [scene.copy() for _ in range(length)]
    for step, frame in enumerate(frames):
        left = 8 + 37 * step % 200
        frame[80:120, left : left + 30] = 250
    return frames


@pytest.fixture
def filmed(collection):
    """The collection of photos, with clips of two of its species and one that is broken."""
    for seed, (path, length) in enumerate(CLIPS.items()):
        (collection / path).parent.mkdir(exist_ok=True)
        lower = collection / path.lower()
        film(lower, walk(length, seed))
        lower.rename(collection / path)
    whole = (collection / "cat/walks.mp4").read_bytes()
    (collection / "owl/cut.mp4").write_bytes(whole[: len(whole) // 2])
    return collection


def ingest(folder, source, jobs=1, **lines):
    """Runs the stage; returns the manifest, with the clip of each frame, and the quarantine."""
    lines = {f"ingest.{name}": value for name, value in lines.items()}
    lines |= {"ingest.source": str(source), "parallel.jobs": jobs}
    staged.run("ingest", folder, {"ingest.min_per_species": 4} | lines)
    manifest = pd.read_parquet(folder / "data/ingested/manifest.parquet")
    of_clip = manifest["path"].str.extract(
        r"(?:^\.\.|/ingested)/clips/(.*)/\d\d_[\d.]+s\.jpg$", expand=False
    )
    quarantine = pd.read_csv(folder / "reports/ingest/quarantine.csv")
    return manifest.assign(clip=of_clip), quarantine


def test_a_clip_counts_by_its_frames(filmed, tmp_path, capsys):
    manifest, quarantine = ingest(tmp_path, filmed)
    assert manifest["clip"].value_counts().to_dict() == KEPT
    assert manifest["species"].value_counts().to_dict() == {
        "cat": 6 + 5 + 16,
        "owl": 6 + 7 + 6,
        "fish": 6,
        "zebra": 6,
    }
    of_clips = manifest.dropna(subset="clip")
    assert (of_clips["species"] == of_clips["clip"].str[:3]).all()
    for row in of_clips.itertuples():
        picture = filmed / row.path
        assert hashlib.sha256(picture.read_bytes()).hexdigest() == row.photo
        assert Image.open(picture).size == (256, 192) == (row.width, row.height)
    assert quarantine[["path", "reason"]].to_numpy().tolist() == [["owl/cut.mp4", "unreadable"]]
    counts = pd.read_csv(tmp_path / "reports/ingest/counts.csv")
    photos_and_broken = 24 + 1
    assert counts["files"].sum() == photos_and_broken + sum(KEPT.values())
    assert counts["files"].sum() == len(manifest) + len(quarantine)
    card = (tmp_path / "reports/ingest/index.html").read_text()
    told = {"videos with frames": 4, "frames taken from them": 34, "videos left out": 1}
    printed = capsys.readouterr().out
    for what, number in told.items():
        assert f"{what}: {number}\n" in printed
        assert re.search(rf"<td>{what}</td>\s*<td class=\"number\">{number}</td>", card), what


def test_frames_of_a_clip_are_one_event_in_which_motion_is_found(filmed, tmp_path):
    manifest, _ = ingest(tmp_path, filmed)
    of_clips = manifest.dropna(subset="clip").groupby("clip")
    assert (of_clips[["event", "group"]].nunique() == 1).all(axis=None)
    assert manifest["event"].nunique() == 24 + 4
    assert (manifest["detection_sources"].notna() == manifest["clip"].notna()).all()


def test_no_split_holds_a_part_of_a_clip(filmed, tmp_path):
    manifest, _ = ingest(tmp_path, filmed)
    staged.run(
        "split", tmp_path, {"split.train": 0.5, "split.validation": 0.25, "split.test": 0.25}
    )
    split = pd.read_parquet(tmp_path / "data/split.parquet").merge(manifest, on="photo")
    assert set(split["split"]) == {"train", "validation", "test"}
    assert (split.groupby("clip")["split"].nunique() == 1).all()


def test_a_table_gives_clips_species_place_and_time(filmed, tmp_path):
    lines = ["file,species,station,datetime,sequence,bbox"]
    for name in ("cat/walks.mp4", "cat/walks on.AVI", "owl/cut.mp4"):
        lines.append(f'{name},lynx,north,2024-05-01 10:00:58,s1,"[0.1, 0.1, 0.2, 0.2]"')
    lines.append("owl/may/flies.mov,owl,south,2024-05-01,,")
    lines.append("owl/sits.avi,,south,2024-05-01 10:00:00,,")
    lines += [
        f"{path.relative_to(filmed).as_posix()},{path.parts[-2]},,,,"
        for path in sorted(filmed.glob("*/*"))
        if path.suffix in (".jpg", ".png")
    ]
    (filmed / "metadata.csv").write_text("\n".join(lines) + "\n")
    manifest, quarantine = ingest(tmp_path, filmed, min_per_species=3)
    rows = manifest.dropna(subset="clip").sort_values("path")
    assert rows.groupby("clip")["species"].agg(set).to_dict() == {
        "cat/walks.mp4": {"lynx"},
        "cat/walks on.AVI": {"lynx"},
        "owl/may/flies.mov": {"owl"},
    }
    assert rows.groupby("clip")["location"].agg(set).tolist() == [{"north"}, {"north"}, {"south"}]
    long = rows[rows["clip"] == "cat/walks on.AVI"]
    seconds = long["path"].str.extract(r"_([\d.]+)s\.jpg$", expand=False).astype(float)
    expected = pd.Timestamp("2024-05-01T10:00:58") + pd.to_timedelta(seconds // 1, unit="s")
    assert long["taken_at"].tolist() == expected.dt.strftime("%Y-%m-%dT%H:%M:%S").tolist()
    assert set(expected.dt.minute) == {0, 1}
    assert set(rows.loc[rows["species"] == "owl", "taken_at"]) == {"2024-05-01T00:00:00"}
    assert rows["box"].isna().all()
    assert rows[rows["species"] == "lynx"]["event"].nunique() == 2, "a clip is an event"
    assert rows[rows["species"] == "lynx"]["group"].nunique() == 1, "the sequence is a group"
    refused = quarantine.set_index("path")["reason"].to_dict()
    assert refused == {"owl/cut.mp4": "unreadable", "owl/sits.avi": "no_species"}


def test_frames_are_the_same_bytes_whatever_the_number_of_processes(filmed, tmp_path):
    written = []
    for jobs in (1, 2):
        ingest(tmp_path, filmed, jobs)
        below = sorted(path for path in (tmp_path / "data").rglob("*") if path.is_file())
        written.append({path: hashlib.sha256(path.read_bytes()).hexdigest() for path in below})
    assert len([path for path in written[0] if "clips" in path.parts]) == 34
    assert written[0] == written[1]


def test_clips_in_an_archive_and_a_photo_that_somebody_put_among_their_frames(filmed, tmp_path):
    source = shutil.make_archive(str(tmp_path / "photos"), "zip", filmed)
    manifest, _ = ingest(tmp_path, source)
    assert manifest["clip"].value_counts().to_dict() == KEPT
    assert (manifest["path"].str.startswith("../clips/") == manifest["clip"].notna()).all()
    mine = tmp_path / "data/ingested/clips/cat/mine.jpg"
    mine.write_bytes(b"somebody's")
    with pytest.raises(SystemExit, match=r"data/ingested/clips holds cat/mine.jpg, which ingest"):
        ingest(tmp_path, source)
    mine.unlink()
    for path in filmed.rglob("*.*"):
        if path.suffix.lower() in (".mp4", ".mov", ".avi"):
            path.unlink()
    manifest, _ = ingest(tmp_path, filmed)
    assert len(manifest) == 24
    assert not (tmp_path / "data/ingested/clips").exists()
    assert not (tmp_path / "data/ingested/clips.json").exists()


def test_clips_that_show_nothing_are_blank(filmed, tmp_path):
    (filmed / "owl").rename(filmed / "empty")
    manifest, quarantine = ingest(tmp_path, filmed)
    assert set(manifest.loc[manifest["clip"].str.startswith("empty", na=False), "species"]) == {
        "blank"
    }
    assert quarantine["path"].tolist() == ["empty/cut.mp4"]


def test_a_source_behind_a_link_has_its_frames_too(filmed, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    moved = shutil.move(filmed, tmp_path / "elsewhere/deep/photos")
    (tmp_path / "data/photos").symlink_to(moved)
    manifest, _ = ingest(tmp_path, "data/photos")
    assert all((tmp_path / "data/photos" / path).is_file() for path in manifest["path"])
