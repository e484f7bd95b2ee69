"""Collections of every form, and hostile ones, through the stages that a user runs."""

import io
import json
import os
import runpy
import shutil
import socket
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import staged
from PIL import Image

from pipeline.dataset.shards import Shards
from pipeline.evaluate.predictions import photos_of
from pipeline.inference import decoding

REPOSITORY = Path(__file__).parents[2]
REPORT = Path("reports/ingest")


class Ran:
    """What a stage left behind."""

    def __init__(self, said: str | None, printed: str):
        self.said = said
        self.printed = printed
        counts = REPORT / "counts.csv"
        self.counts = pd.read_csv(counts, keep_default_na=False) if counts.exists() else None
        written = REPORT / "quarantine.csv"
        text = dict.fromkeys(("path", "species", "reason", "detail"), "str")
        self.quarantine = (
            pd.read_csv(written, dtype=text, keep_default_na=False) if written.exists() else None
        )
        manifest = Path("data/ingested/manifest.parquet")
        self.manifest = pd.read_parquet(manifest) if manifest.exists() else None

    @property
    def reasons(self) -> dict[str, str]:
        return dict(zip(self.quarantine["path"], self.quarantine["reason"], strict=True))

    def adds_up(self) -> bool:
        """Whether what was found is what was accepted and what was refused, for every species."""
        parts = self.counts.drop(columns=["species", "files"])
        refused = self.quarantine["reason"].value_counts().to_dict()
        return (self.counts["files"] == parts.sum(axis=1)).all() and refused == {
            name: total for name, total in parts.sum().items() if name != "accepted" and total
        }


@pytest.fixture
def stage(tmp_path, monkeypatch, capsys):
    """Runs a stage's script in a folder of its own, with lines of params.yaml changed."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(name: str, **lines) -> Ran:
        usual = {"parallel.jobs": 1, "ingest.min_per_species": 3}
        changed = {line.replace("__", ".", 1): value for line, value in lines.items()}
        staged.write_params(folder, usual | changed)
        said = None
        try:
            runpy.run_path(str(REPOSITORY / "stages" / f"{name}.py"), run_name="__main__")
        except SystemExit as stopped:
            said = str(stopped.code)
        return Ran(said, capsys.readouterr().out)

    return run


def ingest(stage, source, **lines):
    return stage("ingest", ingest__source=str(source), **lines)


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def tarred(path, files):
    with tarfile.open(path, "w:gz") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return path


def photo(seed, form="JPEG", size=(64, 48), **options):
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize(size)
    file = io.BytesIO()
    smooth.save(file, form, **options)
    return file.getvalue()


def png_that_claims(width, height):
    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


PLAIN = {f"{name}/{i}.jpg": photo(10 * k + i) for k, name in enumerate(("cat", "owl"))
         for i in range(3)}  # fmt: skip


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# Names that are odd and yet those of good photos.
NAMES = [
    "cat/new\nline.jpg",
    "cat/quotes \"'`.jpg",
    "cat/comma, semicolon; $HOME %s {x}.jpg",
    "cat/back\\slash.jpg",
    "cat/CON.jpg",
    "cat/aux",
    "cat/LPT1.jpg",
    "cat/ends with dots...",
    "cat/ leading and trailing ",
    "cat/-rf.jpg",
    "cat/~.jpg",
    "cat/Case.jpg",
    "cat/case.jpg",
    "cat/\u202egpj.exe.jpg",
    "cat/\U0001f981.jpg",
    f"cat/{unicodedata.normalize('NFC', 'é')}.jpg",
    f"cat/{unicodedata.normalize('NFD', 'é')}.jpg",
    "cat/" + "n" * 251 + ".jpg",
    "cat/" + "/".join(["deep"] * 40) + "/x.jpg",
    "CON/1.jpg",
    "cat/x.jpg/inside a folder.jpg",
]


def test_hostile_files_in_class_folders(stage, tmp_path):
    if "HEIF" not in decoding.FORMATS:
        pytest.skip("the extra heic is not installed")
    top = put(tmp_path / "photos", PLAIN)
    put(top, {name: photo(100 + i) for i, name in enumerate(NAMES)})
    put(top, {f"CON/{i}.jpg": photo(200 + i) for i in range(2, 4)})
    two = [Image.open(io.BytesIO(photo(seed))) for seed in (300, 301)]
    put(
        top,
        {
            "owl/animated.webp": photo(302, "WEBP", save_all=True, append_images=two),
            "owl/animated.gif": photo(303, "GIF", save_all=True, append_images=two),
            "owl/phone.jpg": photo(304, "MPO", save_all=True, append_images=two),
            "owl/phone.heic": photo(305, "HEIF"),
            "owl/web.avif": photo(306, "AVIF"),
            "owl/lies.png": photo(307, "BMP"),
        },
    )
    good = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    bad = {
        "owl/empty.jpg": (b"", "empty"),
        "owl/pointer.jpg": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "git_lfs_pointer",
        ),
        "owl/page.jpg": (b"<!DOCTYPE html>\n<html>404</html>", "web_page"),
        "owl/clip.jpg": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        "owl/text.jpg": (b"hello", "not_an_image"),
        "owl/archive.jpg": (b"PK\3\4" + bytes(100), "not_an_image"),
        "owl/half.jpg": (photo(400, size=(640, 480))[:-2000], "truncated"),
        "owl/pixel bomb.png": (png_that_claims(60_000, 60_000), "too_many_pixels"),
        "owl/just above.png": (png_that_claims(10_001, 10_000), "too_many_pixels"),
        "owl/tiny.png": (photo(401, "PNG", size=(31, 400)), "too_small"),
        "stray.jpg": (photo(402), "outside_class_folders"),
    }
    put(top, {name: content for name, (content, _) in bad.items()})
    expected = {name: reason for name, (_, reason) in bad.items()}
    (top / "owl" / "y.jpg").mkdir()
    (top / "owl" / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (top / "owl" / "itself.jpg").symlink_to(top / "owl" / "itself.jpg")
    (top / "owl" / "circle").symlink_to(top)
    (top / "owl" / "passwd.jpg").symlink_to("/etc/passwd")
    os.mkfifo(top / "owl" / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(top / "owl")  # the path of a socket may not be long
        listening.bind("socket.jpg")
        os.chdir(here)
    expected |= {
        "owl/y.jpg": "empty_folder",
        "owl/dangling.jpg": "not_a_file",
        "owl/itself.jpg": "not_a_file",
        "owl/circle": "linked_folder",
        "owl/passwd.jpg": "not_an_image",
        "owl/pipe.jpg": "not_a_file",
        "owl/socket.jpg": "not_a_file",
    }
    ran = ingest(stage, top)
    assert ran.said is None
    assert ran.reasons == expected
    assert set(ran.manifest["path"]) == good
    assert ran.adds_up()
    assert ran.counts["files"].sum() == len(good) + len(expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_files_and_folders_that_may_not_be_read(stage, tmp_path):
    top = put(tmp_path / "photos", PLAIN | {"cat/9.jpg": photo(1), "owl/deep/9.jpg": photo(2)})
    (top / "cat/9.jpg").chmod(0)
    (top / "owl/deep").chmod(0)
    try:
        ran = ingest(stage, top)
    finally:
        (top / "owl/deep").chmod(0o700)
    assert ran.reasons == {"cat/9.jpg": "unreadable", "owl/deep": "unreadable_folder"}


def test_names_of_species_that_differ_in_case_alone(stage, tmp_path):
    top = put(tmp_path / "photos", PLAIN | {f"CAT/{i}.jpg": photo(i) for i in range(50, 53)})
    assert "species CAT and cat differ in the case of letters alone" in ingest(stage, top).said
    ran = ingest(stage, top, ingest__labels={"CAT": "cat"})
    assert ran.said is None
    assert ran.manifest["species"].value_counts().to_dict() == {"cat": 6, "owl": 3}


def test_photo_that_vanishes_before_it_is_read_and_one_that_changes_after(
    stage, tmp_path, monkeypatch
):
    top = put(tmp_path / "photos", PLAIN | {"cat/gone.jpg": photo(70), "cat/new.jpg": photo(71)})
    read = Path.read_bytes

    def racing(path):
        if path.name == "gone.jpg":
            path.unlink()
        data = read(path)
        if path.name == "new.jpg":
            path.write_bytes(photo(72))
        return data

    monkeypatch.setattr(Path, "read_bytes", racing)
    ran = ingest(stage, top)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "project")
    assert ran.reasons == {"cat/gone.jpg": "unreadable"}
    assert ran.adds_up()
    said = stage("resize", ingest__source=str(top)).said
    assert f"{top / 'cat/new.jpg'} has changed since ingest read it; run `dvc repro` again" in said


def zip_of(entries):
    """A zip of entries that `zipfile` would not write by itself."""

    def make(path):
        with zipfile.ZipFile(path, "w") as opened:
            for name, mode in entries.items():
                entry = zipfile.ZipInfo(name)
                entry.create_system, entry.external_attr = 3, (mode | 0o644) << 16
                opened.writestr(entry, "/etc/passwd")

    return make


def tar_of(kind, link):
    def make(path):
        with tarfile.open(path, "w") as opened:
            entry = tarfile.TarInfo("cat/x.jpg")
            entry.type, entry.linkname = kind, link
            opened.addfile(entry)

    return make


def zip_bomb(path):
    """10 GB of zeros, as its directory says, in 10 MB."""
    zipped(path, {"cat/1.jpg": bytes(10_000_000)})
    data, true = path.read_bytes(), struct.pack("<I", 10_000_000)
    path.write_bytes(data.replace(true, struct.pack("<I", 4_000_000_000)))


def million_entries(path):
    """As many entries as its directory says; the zip itself takes no disk."""
    with path.open("wb") as file:
        file.truncate(400_000_000)
        file.seek(400_000_000)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 400_000_000, 0, 0))


ARCHIVES = {
    "zip slip": (lambda path: zipped(path, {"../evil.jpg": b"x"}), "points out of its folder"),
    "tar slip": (lambda path: tarred(path, {"../evil.jpg": b"x"}), "points out of its folder"),
    "Windows' slip": (lambda path: zipped(path, {"..\\evil.jpg": b"x"}), "points out of its"),
    "absolute": (lambda path: zipped(path, {"/evil.jpg": b"x"}), "points out of its folder"),
    "drive": (lambda path: tarred(path, {"C:\\evil.jpg": b"x"}), "points out of its folder"),
    "link in a zip": (zip_of({"cat/x.jpg": stat.S_IFLNK}), "a link or a device"),
    "link in a tar": (tar_of(tarfile.SYMTYPE, "/etc/passwd"), "a link or a device"),
    "hard link": (tar_of(tarfile.LNKTYPE, "../../x"), "a link or a device"),
    "device": (tar_of(tarfile.CHRTYPE, ""), "a link or a device"),
    "zip bomb": (zip_bomb, "claims to hold over 1,073,741,824 bytes"),
    "million entries": (million_entries, "its directory has 400,000,000 bytes, over 2,000,000"),
    "broken": (lambda path: path.write_bytes(b"PK\3\4" + bytes(100)), "nor a zip or tar"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives_are_refused_whole_and_write_nothing(stage, tmp_path, name):
    make, said = ARCHIVES[name]
    make(tmp_path / "photos.zip")
    ran = ingest(stage, tmp_path / "photos.zip")
    assert said in ran.said
    assert len(ran.said.splitlines()) == 1
    assert ran.manifest is None
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in left} == {"photos.zip", "params.yaml"}


def test_odd_names_in_archives_are_those_of_good_photos(stage, tmp_path):
    names = [name for name in NAMES if "\\" not in name]  # a backslash is Windows' slash in a zip
    files = PLAIN | {name: photo(100 + i) for i, name in enumerate(names)}
    files |= {f"CON/{i}.jpg": photo(200 + i) for i in range(2, 4)}
    both = []
    for path in (zipped(tmp_path / "a.zip", files), tarred(tmp_path / "a.tar.gz", files)):
        ran = ingest(stage, path)
        assert ran.said is None
        assert ran.reasons == {}
        assert len(ran.manifest) == len(files)
        both.append(Path("data/ingested/manifest.parquet").read_bytes())
    assert both[0] == both[1]


def test_metadata_that_point_out_of_the_collection_read_nothing_there(stage, tmp_path):
    put(tmp_path, {"secret.jpg": photo(1)})
    top = put(tmp_path / "photos", PLAIN)
    rows = [f"{name},{name.split('/')[0]}" for name in PLAIN]
    rows += ["../secret.jpg,cat", f"{tmp_path}/secret.jpg,cat", "file:///etc/passwd,owl"]
    (top / "metadata.csv").write_text("\n".join(["file_name,species", *rows]))
    ran = ingest(stage, top)
    assert ran.said is None
    assert sorted(ran.reasons.values()) == ["missing_file", "missing_file", "remote"]
    assert ran.adds_up()


def packed(folder, into, form):
    """A collection as it is, or packed."""
    if form == "folder":
        return folder
    return Path(shutil.make_archive(str(into / folder.name), form, folder.parent, folder.name))


FORMS = ("folder", "zip", "gztar")


@pytest.mark.parametrize("form", FORMS)
def test_real_camera_traps(stage, tmp_path, photos_folder, form):
    ran = ingest(stage, packed(photos_folder("camtrap_dp"), tmp_path, form))
    assert "too few good photos of Canis aureus (1), Felis catus (1), Pan (1)" in ran.said
    assert ran.reasons == {
        "equid.webp": "not_in_metadata",
        "https://example.com/remote.jpg": "remote",
        "skip_me.mp4": "missing_file",
    }
    assert ran.adds_up()
    assert ran.counts["files"].sum() == 6


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_real_dirty_photos(stage, tmp_path, photos_folder, form):
    folder = photos_folder("dirty")
    ran = ingest(stage, packed(folder, tmp_path, form), parallel__jobs=-1)
    assert "too few good photos of" in ran.said
    reasons = ran.quarantine.groupby("reason")["species"].unique().map(set).to_dict()
    assert reasons == {"exact_duplicate": {"grey_L"}, "truncated": {"truncated"}}
    assert ran.adds_up()
    assert ran.counts["files"].sum() == sum(path.is_file() for path in folder.rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["main13", "monkeys10"])
def test_real_photos_give_the_same_manifest_however_they_come(stage, tmp_path, photos_folder, name):
    some = tmp_path / name
    for folder in photos_folder(name).iterdir():
        for path in sorted(folder.iterdir())[:6]:
            put(some / folder.name, {path.name: path.read_bytes()})
    manifests = set()
    for form in FORMS:
        ran = ingest(stage, packed(some, tmp_path, form), parallel__jobs=-1)
        assert ran.said is None, ran.said
        assert ran.adds_up()
        assert ran.counts["files"].sum() == sum(path.is_file() for path in some.rglob("*"))
        manifests.add(Path("data/ingested/manifest.parquet").read_bytes())
    assert len(manifests) == 1


def observed(folder):
    """A table of 60 photos of two species, by six cameras, one an hour; and the photos."""
    folder.mkdir()
    rows = ["file_name,species,location,datetime"]
    for i in range(60):
        (folder / f"{i:02d}.jpg").write_bytes(photo(i))
        moment = pd.Timestamp("2024-05-01") + pd.Timedelta(i, "h")
        rows.append(f"{i:02d}.jpg,{('fox', 'owl')[i % 2]},camera {i % 6},{moment.isoformat()}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def split_of(ran):
    return ran.manifest.merge(pd.read_parquet("data/split.parquet")[["photo", "split"]], on="photo")


def test_split_by_location_tests_on_cameras_never_seen(stage, tmp_path):
    assert ingest(stage, observed(tmp_path / "seen")).said is None
    ran = stage("split", split__by="location", split__train=0.5, split__validation=0.25,
                split__test=0.25)  # fmt: skip
    assert ran.said is None
    table = split_of(ran)
    assert table.groupby("location")["split"].nunique().max() == 1
    assert table.groupby("split")["species"].nunique().eq(2).all()
    assert "near-duplicates across splits: 0" in ran.printed


def test_split_by_time_tests_on_what_came_later(stage, tmp_path):
    ingest(stage, observed(tmp_path / "seen"))
    times = split_of(stage("split", split__by="time")).groupby("split")["taken_at"]
    assert times.max()["train"] < times.min()["validation"]
    assert times.max()["validation"] < times.min()["test"]


@pytest.mark.slow
def test_split_by_what_is_not_told_says_what_to_do(stage, tmp_path):
    folder = observed(tmp_path / "seen")
    table = (folder / "metadata.csv").read_text().replace("camera 3", "")
    (folder / "metadata.csv").write_text(table)
    ingest(stage, folder)
    ran = stage("split", split__by="location")
    assert ran.said is None
    left_out = pd.read_csv("reports/split/left_out.csv")
    assert left_out["reason"].value_counts().to_dict() == {"unplaced": 10}
    assert len(split_of(ran)) == 50
    for camera in range(6):
        table = table.replace(f"camera {camera}", "" if camera < 4 else f"camera {camera}")
    (folder / "metadata.csv").write_text(table)
    ingest(stage, folder)
    said = stage("split", split__by="location").said
    assert "have no location" in said
    assert "set split.by: group" in said


def test_given_splits_are_kept_and_twins_left_out(stage, tmp_path):
    for i in range(60):
        place = "test" if i % 5 == 0 else "train"
        path = tmp_path / "given" / place / ("fox", "owl")[i % 2] / f"{i:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(i, quality=90))
    twin = tmp_path / "given" / "train" / "fox" / "twin.jpg"
    twin.write_bytes(photo(0, quality=70))
    assert ingest(stage, tmp_path / "given").said is None
    ran = stage("split")
    assert ran.said is None
    table = split_of(ran)
    assert (table.loc[table["split_hint"] == "test", "split"] == "test").all()
    trained = table.loc[table["split_hint"] == "train", "split"].value_counts()
    assert trained.sum() == 48
    assert 5 <= trained["validation"] <= 12
    assert pd.read_csv("reports/split/left_out.csv").to_numpy().tolist() == [
        ["train/fox/twin.jpg", "fox", "train", "test", "twin"]
    ]
    anew = split_of(stage("split", split__respect_given=False))
    assert len(anew) == 61
    assert (anew["split"] != anew["split_hint"]).any()


@pytest.mark.slow
def test_flagged_photos_are_refused_if_params_say_so(stage, tmp_path):
    folder = observed(tmp_path / "seen")
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (20, 90, 160)).save(file, "JPEG")
    (folder / "03.jpg").write_bytes(file.getvalue())
    ran = ingest(stage, folder, ingest__min_side=32)
    assert len(ran.manifest) == 60
    flags = pd.read_csv(REPORT / "flags.csv").set_index("path")["flags"]
    assert "one_colour" in flags["03.jpg"].split()
    ran = ingest(stage, folder, ingest__reject=["one_colour"])
    assert ran.reasons == {"03.jpg": "one_colour"}
    assert "one_colour" in (REPORT / "index.html").read_text()


def test_subjects_that_megadetector_found_are_what_is_learned_from_and_tested(stage, tmp_path):
    """Each photo is grey but for its subject, and what reaches training is the subject alone."""
    top, images = tmp_path / "photos", []
    for k, species in enumerate(("cat", "owl")):
        for i in range(12):
            scene = np.full((60, 120, 3), 128, np.uint8)
            left = 10 + 4 * i
            scene[20:40, left : left + 20] = np.random.default_rng(i).integers(0, 40, (20, 20, 3))
            scene[20:40, left : left + 20, 2 * k] = 250
            file = io.BytesIO()
            Image.fromarray(scene).save(file, "PNG")
            put(top, {f"{species}/{i}.png": file.getvalue()})
            box = [left / 120, 20 / 60, 20 / 120, 20 / 60]
            found = [{"category": "1", "conf": 0.9, "bbox": box}]
            found += [{"category": "2", "conf": 0.9, "bbox": [0, 0, 1, 1]}]
            images.append({"file": f"{species}/{i}.png", "detections": found if i else []})
    detected = {"detection_categories": {"1": "animal", "2": "person"}, "images": images}
    (top / "megadetector.json").write_text(json.dumps(detected))
    lines = {"ingest__source": str(top), "ingest__near_duplicate_bits": 0, "resize__size": 32}
    lines |= {"resize__crop": "boxes", "resize__box_margin": 0.0}
    ran = stage("ingest", **lines)
    assert ran.said is None
    assert ran.adds_up()
    for name in ("resize", "split", "augment"):
        assert stage(name, **lines).said is None
    resized, augmented = Shards("data/resized"), Shards("data/augmented")
    split = pd.read_parquet("data/split.parquet")
    test = photos_of("test", resized.index, ran.manifest, split)
    assert set(split["split"]) == {"train", "validation", "test"}
    for position, row in test[test["box"].notna()].iterrows():
        picture = resized.take([position])[0]
        red, blue = picture[..., 0].mean(), picture[..., 2].mean()
        assert (red > 240) == (row["species"] == "cat")
        assert (blue > 240) == (row["species"] == "owl")
        data = (top / row["path"]).read_bytes()
        assert np.array_equal(
            picture, decoding.square(decoding.cut(data, json.loads(row["box"])), 32)
        )
    assert resized.index["box"].isna().sum() == 2
    assert len(augmented) > (split["split"] == "train").sum()
