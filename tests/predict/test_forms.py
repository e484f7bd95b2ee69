"""What predict checks before it starts, passes over, and writes for other programs."""

import csv
import io
import json
import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from listed import list_files
from PIL import Image, TiffImagePlugin

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.inference import decoding
from pipeline.monitor import drift
from pipeline.predict import batch, inputs
from pipeline.predict.formats import megadetector, xmp
from pipeline.predict.formats.camtrap_dp import Packages

TAKEN, GPS = 0x9003, 0x8825


@pytest.fixture
def trip(tmp_path, monkeypatch):
    """Two cameras' photos below `trip`; one of them knows when and where it was taken."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg")):
        path = tmp_path / "trip" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if name == "cam1/b.jpg":
            exif.get_ifd(0x8769)[TAKEN] = "2024:05:01 23:59:58"
            exif.get_ifd(GPS).update({1: "S", 2: (33, 30, 18.0), 3: "E", 4: (151, 0, 36.0)})
        Image.new("RGB", (40, 50 + i), ("blue", "red")[i % 2]).save(path, exif=exif)
    return tmp_path / "trip"


@pytest.fixture
def animal(recogniser, monkeypatch, capsys):
    def run(*arguments):
        command = ["predict", *map(str, arguments), "--model", str(recogniser), "--jobs", "1"]
        monkeypatch.setattr(sys, "argv", ["animal", *command])
        cli.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def never_predicts(monkeypatch):
    def predict(*_):
        pytest.fail("it predicted before it checked")

    monkeypatch.setattr(batch, "predict", predict)


def answer(path, species, unknown=False):
    top = [{"species": species, "probability": 0.9}]
    return {"path": str(path), **top[0], "top": top, "unknown": unknown, "error": None}


@pytest.mark.parametrize(
    ("asked", "options", "written"),
    [
        (["trip"], [], ["cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg"]),
        (["./trip/cam1/../"], [], ["cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg"]),
        (["trip/cam2", "trip/cam1"], [], ["cam2/a.jpg", "cam1/a.jpg", "cam1/b.jpg"]),
        (["trip/*/b.jpg"], [], ["cam1/b.jpg"]),
        (["trip/cam1/b.jpg"], [], ["b.jpg"]),
        (["trip/cam1"], ["--relative-to", "."], ["trip/cam1/a.jpg", "trip/cam1/b.jpg"]),
    ],
)
def test_megadetector_paths_are_seen_from_the_folder_asked_about(
    trip, animal, asked, options, written
):
    animal(*asked, "--output", "md.json", "--format", "megadetector", *options)
    images = json.loads(Path("md.json").read_text())["images"]
    assert [image["file"] for image in images] == written


def test_time_and_place_are_columns_and_excel_knows_the_encoding(trip, animal):
    (trip / "cam1" / "b.jpg").rename(trip / "cam1" / "bär.jpg")
    animal("trip", "--output", "all.csv", "--relative-to", trip)
    assert Path("all.csv").read_bytes().startswith(b"\xef\xbb\xbfpath,")
    rows = pd.read_csv("all.csv").set_index("path")
    place = rows.loc["cam1/bär.jpg", ["taken_at", "latitude", "longitude"]].tolist()
    assert place == ["2024-05-01T23:59:58", pytest.approx(-33.505), pytest.approx(151.01)]
    assert rows.loc["cam1/a.jpg", ["taken_at", "latitude", "longitude"]].isna().all()


def test_what_is_passed_over_is_counted_by_kind(trip, animal):
    for name in ("x.NEF", "y.nef", "clip.MXF", "noext", "notes.txt", ".hidden.nef"):
        (trip / name).write_bytes(b"x")
    said = animal("trip", "--output", "all.csv")
    assert "all.csv: 3 photos, 0 of them could not be read\n" in said
    assert "passed over: 2 raw .nef, 1 .mxf, 1 without an ending, 1 .txt; a raw file" in said
    for name in ("cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg"):
        (trip / name).unlink()
    with pytest.raises(SystemExit, match=r"no photo in trip, among 2 raw .nef, 1 .mxf"):
        animal("trip", "--output", "none.csv")


@pytest.mark.parametrize(("kind", "refused"), [(1, True), (0, False), (None, False)])
def test_bytes_of_a_raw_file_are_known_whatever_its_name(kind, refused):
    file = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if kind is not None:
        tags[254] = kind
    Image.new("RGB", (160, 120), "red").save(file, "TIFF", tiffinfo=tags)
    if refused:
        with pytest.raises(decoding.PhotoError, match="only a thumbnail can be read") as error:
            decoding.square(file.getvalue(), 32)
        assert error.value.reason == "raw"
    else:
        assert decoding.square(file.getvalue(), 32).shape == (32, 32, 3)


def test_ingest_refuses_raw_files_by_name(tmp_path):
    for name in ("fox/1.NEF", "fox/2.jpg", "deer/3.cr2", "deer/4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    rows = list_files(tmp_path).set_index("path")
    assert rows["reason"].dropna().to_dict() == {"fox/1.NEF": "raw", "deer/3.cr2": "raw"}


def test_the_thumbnail_in_a_raw_file_is_not_taken_for_the_photo(trip, animal):
    Image.new("RGB", (160, 120), "red").save(trip / "x.NEF", format="TIFF")
    animal("trip/x.NEF", "--output", "all.csv")
    row = pd.read_csv("all.csv").iloc[0]
    assert row["error"].startswith("raw: .nef is a camera's raw file")
    assert pd.isna(row["species"])


def test_a_photo_that_changed_since_is_asked_again(trip, recogniser):
    journal = Path("j")
    batch.predict(recogniser, ["trip"], journal, jobs=1)
    before = [a["species"] for a in batch.answers(journal)]
    changed = trip / "cam1" / "b.jpg"
    at = changed.stat()
    Image.new("RGB", (40, 50), "blue").save(changed)
    os.utime(changed, ns=(at.st_atime_ns, at.st_mtime_ns + 1))
    batch.predict(recogniser, ["trip"], journal, jobs=1)
    after = [a["species"] for a in batch.answers(journal)]
    assert (before, after) == (["blue & co", "red", "blue & co"], ["blue & co"] * 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "camtrap-dp", "--output", "o.csv"], "lies in no Camtrap DP package"),
        (["--output", "md.json", "--relative-to", "trip/cam1"], "does not lie in trip/cam1"),
        (["--output", "md.json", "--relative-to", "none"], "--relative-to none is not a folder"),
    ],
)
def test_what_fails_is_said_before_the_first_photo(
    trip, animal, never_predicts, arguments, sentence
):
    with pytest.raises(SystemExit, match=sentence):
        animal("trip", *arguments)


@pytest.mark.parametrize("locked", ["trip/cam2", "out"])
def test_a_folder_that_may_not_be_written_to_is_named_first(
    trip, animal, never_predicts, monkeypatch, locked
):
    Path("out").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p).name != Path(locked).name
                        and access(p, mode))  # fmt: skip
    with pytest.raises(SystemExit, match=f"{locked} may not be written to"):
        animal("trip", "--output", "out/all.csv", "--xmp")


def test_sidecars_that_cannot_be_written_are_counted_and_the_results_stand(
    trip, animal, monkeypatch
):
    real = xmp.atomic.atomic_write

    def denied(path, *rest):
        if "cam1" in Path(path).parts:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest)

    monkeypatch.setattr(xmp.atomic, "atomic_write", denied)
    said = animal("trip", "--output", "all.csv", "--xmp")
    assert "1 sidecars written, 0 of others left as they are\n2 could not be written\n" in said
    assert len(pd.read_csv("all.csv")) == 3


def test_lightroom_gets_the_name_and_the_tree_of_keywords_that_it_wants(trip, animal):
    Image.new("RGB", (40, 40), "red").save(trip / "cam2" / "a.png")
    (trip / "cam1" / "a.xmp").write_text("somebody's")
    said = animal("trip", "--output", "all.csv", "--xmp", "--xmp-name", "photo.xmp")
    assert "2 sidecars written, 1 of others left" in said
    assert "1 photos have none: another of the same name has it" in said
    assert (trip / "cam1" / "a.xmp").read_text() == "somebody's"
    root = ElementTree.parse(trip / "cam2" / "a.xmp").getroot()
    for tag in ("dc/elements/1.1/}subject", "lightroom/1.0/}hierarchicalSubject"):
        (bag,) = [element for element in root.iter() if element.tag.endswith(tag)]
        assert [li.text for li in bag.iter() if li.tag.endswith("}li")] == ["blue & co"]


KINDS = [
    ("Blank", "blank", []),
    ("homo_sapiens", "human", ["2"]),
    ("Vehicle", "vehicle", ["3"]),
    ("unidentifiable", "unknown", ["1"]),
    ("Canis lupus", "animal", ["1"]),
]


@pytest.fixture
def package(tmp_path):
    """A package as Excel saves it, its paths as Windows and others write them."""
    (tmp_path / "media").mkdir()
    paths = ["media\\0.jpg", "./media/1.jpg", "media/2.jpg", "media/3.jpg", "media\\4.JPG"]
    for i in range(5):
        (tmp_path / "media" / f"{i}.jpg").touch()
    rows = [f"{i};d1;2024-05-01T10:00:0{i}Z;{path};" for i, path in enumerate(paths)]
    head = "mediaID;deploymentID;timestamp;filePath;fileMediatype"
    (tmp_path / "media.csv").write_text("\n".join([head, *rows]), encoding="utf-8-sig")
    return tmp_path


def test_blank_human_and_vehicle_are_written_as_what_they_are(package, tmp_path):
    labels = [label for label, *_ in KINDS]
    answers = [answer(package / f"media/{i}.jpg", label) for i, label in enumerate(labels)]
    Packages().write(answers, labels, tmp_path / "o.csv")
    with (tmp_path / "o.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["mediaID"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [row["observationType"] for row in rows] == [kind for _, kind, _ in KINDS]
    assert [row["scientificName"] for row in rows] == ["", "", "", "", "Canis lupus"]
    megadetector.write(answers, labels, tmp_path / "md.json")
    images = json.loads((tmp_path / "md.json").read_text())["images"]
    found = [[d["category"] for d in image["detections"]] for image in images]
    assert found == [categories for *_, categories in KINDS]


def test_media_at_addresses_are_found_as_ingest_finds_them(package):
    written = (package / "media.csv").read_text(encoding="utf-8-sig")
    addresses = re.sub(r"[^;]*(\d)\.(jpg|JPG)", r"https://example.org/media/\1.jpg", written)
    (package / "media.csv").write_text(addresses)
    Packages().write([answer(package / "media/3.jpg", "cat")], ["cat"], package / "o.csv")
    assert pd.read_csv(package / "o.csv")["mediaID"].tolist() == [3]


def test_a_package_that_knows_none_of_the_photos_is_refused_first(package):
    Packages().check([str(package / "media/0.jpg"), str(package / "media/9.jpg")])
    with pytest.raises(UserError, match="none of the photos is a filePath of"):
        Packages().check([str(package / "media/9.jpg")])
    (package / "datapackage.json").write_text('{"resources": [}')
    with pytest.raises(UserError, match=r"datapackage\.json is not valid JSON"):
        Packages().check([str(package / "media/0.jpg")])


def test_drift_reads_what_a_spreadsheet_saved(tmp_path):
    path = tmp_path / "all.CSV"
    path.write_bytes(
        "path;species;probability;unknown;brightness\n"
        "ä.jpg;Füchse;0,91;FALSCH;1.234,5\nb.jpg;7;0,5;WAHR;3\nc.jpg;;;;\n".encode("utf-8-sig")
    )
    read = drift.read(path)
    assert read["species"].tolist() == ["Füchse", "7"]
    assert read["probability"].tolist() == [0.91, 0.5]
    assert read["brightness"].tolist() == [1234.5, 3.0]
    assert read["unknown"].tolist() == [False, True]
    path.write_text("species;unknown\nfox;oui\n")
    with pytest.raises(UserError, match="unknown holds 'oui', not TRUE or FALSE"):
        drift.read(path)


def test_the_folder_asked_about_may_be_an_archive(trip):
    assert inputs.top(["trip/cam1/a.jpg", "trip/cam2"]) == trip
    assert inputs.relative("trip/../trip/cam1/a.jpg", trip) == "cam1/a.jpg"
