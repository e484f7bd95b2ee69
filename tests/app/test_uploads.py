"""What an upload may be called and may hold."""

import io
import json
import struct
import tarfile
import zipfile

import pytest

from pipeline.app import uploads
from pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("cam 1/fox.jpg", "cam 1/fox.jpg"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/../../b.jpg", "a/b.jpg"),
        ("..\\..\\windows\\b.jpg", "windows/b.jpg"),
        ("a\r\nSet-Cookie: b.jpg", "a__Set-Cookie: b.jpg"),
        ("a\0b\u202egpj.exe", "a_b_gpj.exe"),
        ("=HYPERLINK(1).jpg", "./=HYPERLINK(1).jpg"),
        ("@x.jpg", "./@x.jpg"),
        ("<script>alert(1)</script>.jpg", "<script>alert(1)</script>.jpg"),  # text, shown as such
        ("", "photo"),
        ("..", "photo"),
    ],
)
def test_a_name_is_relative_short_and_no_formula(given, shown):
    assert uploads.name(given) == shown
    assert len(uploads.name(given * 5000)) <= 1002


def zipped(folder, **files):
    path = folder / "upload"
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return path


def read(blocks):
    """The photos in a stream, taken apart a second way: by a file's reads."""
    file = io.BytesIO(b"".join(blocks))
    photos = {}
    while head := file.read(4):
        about = json.loads(file.read(struct.unpack(">I", head)[0]))
        photos[about["name"]] = file.read(about["bytes"])
    return photos


def test_photos_come_out_of_a_zip_and_nothing_else_does(tmp_path):
    files = {"b/2.jpg": b"two", "a.png": b"", "read.me": b"x", "__MACOSX/._a.png": b"x"}
    assert read(uploads.unpack(zipped(tmp_path, **files))) == {"b/2.jpg": b"two", "a.png": b""}


def hostile_zip(folder):
    return zipped(folder, **{"../../escaped.jpg": b"x"})


def tar_with_a_link(folder):
    path = folder / "upload"
    with tarfile.open(path, "w") as opened:
        link = tarfile.TarInfo("passwd.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    return path


def no_archive(folder):
    (folder / "upload").write_bytes(b"GIF89a")
    return folder / "upload"


def without_photos(folder):
    return zipped(folder, **{"a.txt": b"x"})


def too_many(folder):
    return zipped(folder, **{f"{i}.jpg": b"x" for i in range(4)})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (hostile_zip, "points out of its folder"),
        (tar_with_a_link, "a link or a device"),
        (no_archive, "neither a zip nor a tar"),
        (without_photos, "no photo"),
        (too_many, "holds 4 photos; at most 3"),
    ],
)
def test_an_archive_that_is_hostile_or_wrong_is_refused(tmp_path, monkeypatch, make, sentence):
    monkeypatch.setattr(uploads, "MAX_PHOTOS", 3)
    path = make(tmp_path)
    with pytest.raises(UserError, match=sentence) as refused:
        list(uploads.unpack(path))
    assert str(tmp_path) not in str(refused.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["upload"]


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_ARCHIVE", 1000)
    with zipfile.ZipFile(tmp_path / "upload", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.jpg", bytes(100_000))
    with pytest.raises(UserError, match="over 1,000 bytes"):
        list(uploads.unpack(tmp_path / "upload"))
