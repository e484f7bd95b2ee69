import io
import stat
import struct
import tarfile
import zipfile

import pytest

from pipeline.core.errors import UserError
from pipeline.sources import archive

FILES = {"cat/1.jpg": b"one", "cat/deep/2.jpg": b"two" * 999, "dog/ö 3.jpg": b"", "top.txt": b"t"}


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def tarred(path, files=FILES, mode="w"):
    with tarfile.open(path, mode) as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return path


def special(path, kind, name="cat/x.jpg", link=""):
    """A tar with one good file and one entry that is no plain file."""
    with tarfile.open(path, "w") as opened:
        entry = tarfile.TarInfo("cat/1.jpg")
        entry.size = 3
        opened.addfile(entry, io.BytesIO(b"one"))
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        opened.addfile(entry)
    return path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def into(tmp_path):
    """The folder to unpack into; fails a test that leaves anything beside it."""
    outer = tmp_path / "outer"
    folder = outer / "deep" / "into"
    folder.mkdir(parents=True)
    yield folder
    assert [path for path in outer.rglob("*") if folder not in path.parents] == [
        outer / "deep",
        folder,
    ]
    assert not any(path.is_symlink() for path in outer.rglob("*"))


def refused(path, into, said, **options):
    with pytest.raises(UserError, match=said) as caught:
        archive.unpack(path, into, **options)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_archives_of_all_kinds_unpack_to_the_same_files(tmp_path, into, kind):
    name = tmp_path / "photos.download"  # the name says nothing
    path = zipped(name) if kind == "zip" else tarred(name, mode=kind)
    assert archive.is_archive(path)
    archive.unpack(path, into)
    assert contents(into) == FILES


@pytest.mark.parametrize("content", [b"", b"kind: drawn\n", b"\xff\xd8\xff\xe0" + bytes(2000)])
def test_other_files_are_no_archives(tmp_path, content):
    path = tmp_path / "photos.zip"
    path.write_bytes(content)
    assert not archive.is_archive(path)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_hidden_and_system_entries_are_left_out(tmp_path, into, make):
    extra = {"__MACOSX/cat/._1.jpg": b"x", "cat/.DS_Store": b"x", "cat/Thumbs.db": b"x"}
    archive.unpack(make(tmp_path / "a", FILES | extra), into)
    assert contents(into) == FILES


@pytest.mark.parametrize("make", [zipped, tarred])
def test_leading_dot_folder_as_tar_writes_it(tmp_path, into, make):
    archive.unpack(make(tmp_path / "a", {"./cat/1.jpg": b"one", "./dog/2.jpg": b"two"}), into)
    assert contents(into) == {"cat/1.jpg": b"one", "dog/2.jpg": b"two"}


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "../../evil.jpg",
        "cat/../../evil.jpg",
        "cat/../evil.jpg",
        "/evil.jpg",
        "//evil.jpg",
        "..\\evil.jpg",
        "cat\\..\\..\\evil.jpg",
        "\\evil.jpg",
        "C:\\evil.jpg",
        "C:/evil.jpg",
        "C:evil.jpg",
    ],
)
def test_paths_out_of_the_folder_are_refused(tmp_path, into, make, name):
    path = make(tmp_path / "a", {"cat/1.jpg": b"one", name: b"evil"})
    refused(path, into, "points out of its folder")
    assert b"evil" not in contents(into).values()


def test_real_path_that_is_absolute_is_never_written(tmp_path, into):
    victim = tmp_path / "victim.jpg"
    refused(tarred(tmp_path / "a", {str(victim): b"evil"}), into, "points out of its folder")
    assert not victim.exists()


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "1.jpg"),
        (tarfile.LNKTYPE, "cat/1.jpg"),
        (tarfile.LNKTYPE, "../../secret"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, into, kind, link):
    path = special(tmp_path / "a.tar", kind, link=link)
    refused(path, into, r"'cat/x\.jpg', which is a link or a device")


def test_writing_through_a_link_is_refused(tmp_path, into):
    path = special(tmp_path / "a.tar", tarfile.SYMTYPE, "cat/out", str(tmp_path))
    with tarfile.open(path, "a") as opened:
        entry = tarfile.TarInfo("cat/out/evil.jpg")
        entry.size = 4
        opened.addfile(entry, io.BytesIO(b"evil"))
    refused(path, into, "link or a device")
    assert not (tmp_path / "evil.jpg").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, into, kind):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        entry = zipfile.ZipInfo("cat/x.jpg")
        entry.create_system, entry.external_attr = 3, (kind | 0o644) << 16
        opened.writestr(entry, "/etc/passwd")
    refused(path, into, "link or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_same_name_twice_is_refused(tmp_path, into):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("cat/1.jpg", b"one")
        opened.writestr("cat/1.jpg", b"other")
    refused(path, into, "twice")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_file_and_folder_of_the_same_name_are_refused(tmp_path, into, make):
    refused(make(tmp_path / "a", {"cat": b"file", "cat/1.jpg": b"one"}), into, "twice|unpacked")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_more_bytes_than_allowed_are_refused(tmp_path, into, make):
    path = make(tmp_path / "a", {"cat/1.jpg": bytes(600), "cat/2.jpg": bytes(600)})
    refused(path, into, "over 1,000 bytes", max_bytes=1000)
    assert contents(into) == {}
    archive.unpack(path, into, max_bytes=1200)


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, into):
    path = zipped(tmp_path / "a.zip", {"cat/bomb.jpg": bytes(20_000_000)})
    assert path.stat().st_size < 30_000
    refused(path, into, "bytes", max_bytes=1_000_000)
    assert contents(into) == {}


def test_entry_that_claims_less_than_it_holds_is_refused(tmp_path, into):
    path = zipped(tmp_path / "a.zip", {"cat/1.jpg": bytes(5_000_000)})
    data, claim = path.read_bytes(), struct.pack("<I", 5_000_000)
    assert data.count(claim) == 2  # in the file's own header and in the directory
    path.write_bytes(data.replace(claim, struct.pack("<I", 10)))
    refused(path, into, "cannot be unpacked", max_bytes=1000)
    assert sum(map(len, contents(into).values())) <= 1000


@pytest.mark.parametrize("make", [zipped, tarred])
def test_too_many_entries_are_refused(tmp_path, into, make, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    path = make(tmp_path / "a", {f"cat/{i}.jpg": b"x" for i in range(6)})
    refused(path, into, "over 3 entries")
    assert contents(into) == {}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
def test_broken_archive_is_refused(tmp_path, into, mode):
    files = {"cat/1.jpg": bytes(range(256)) * 40, "cat/2.jpg": bytes(range(256)) * 40}
    path = zipped(tmp_path / "a", files) if mode == "zip" else tarred(tmp_path / "a", files, mode)
    data = bytearray(path.read_bytes())
    if mode == "zip":
        data[60:70] = bytes(10)  # inside the first file's data
    else:
        del data[len(data) // 3 :]
    path.write_bytes(data)
    refused(path, into, "cannot be unpacked")


def test_encrypted_zip_is_refused(tmp_path, into):
    path = zipped(tmp_path / "a.zip", {"cat/1.jpg": b"one"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, into, "encrypted")


def test_folders_of_a_zip_made_on_windows(tmp_path, into):
    """Old .NET writes folders as empty entries that end in a backslash."""
    path = zipped(tmp_path / "a.zip", {"cat\\": b"", "cat\\1.jpg": b"one"})
    archive.unpack(path, into)
    assert contents(into) == {"cat/1.jpg": b"one"}


def test_zip_with_a_directory_as_large_as_memory_is_refused_before_it_is_read(tmp_path, into):
    path = tmp_path / "a.zip"
    claim = 10**10
    with path.open("wb") as file:
        file.truncate(claim)  # sparse: takes no disk
        file.seek(claim)
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 9, 9, claim, 0))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, claim, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", *[0xFFFF] * 4, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    refused(path, into, "its directory has 10,000,000,000 bytes, over 2,000,000 entries")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_tar_with_a_name_as_large_as_memory_is_refused_before_it_is_read(tmp_path, into, kind):
    path = tmp_path / "a.tar"
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = kind, 10**10
    header = entry.tobuf(tarfile.GNU_FORMAT)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + entry.size)
    refused(path, into, "takes 10,000,000,000 bytes to describe an entry")


def test_long_names_are_fine(tmp_path, into):
    name = "cat/" + "/".join("é" * 100 for _ in range(8)) + ".jpg"
    archive.unpack(tarred(tmp_path / "a", {name: b"one"}), into)
    assert contents(into) == {name: b"one"}


def test_archive_that_holds_far_more_than_its_size_is_refused(tmp_path, into, monkeypatch):
    monkeypatch.setattr(archive, "_MODEST", 10_000)
    refused(zipped(tmp_path / "a.zip", {"cat/1.jpg": bytes(1_000_000)}), into, "claims to hold")
    archive.unpack(zipped(tmp_path / "b.zip", {"cat/1.jpg": bytes(9_000)}), into)


def test_the_rest_of_a_tar_is_not_unpacked_to_add_up_what_it_claims(tmp_path, into):
    path = tarred(tmp_path / "a.tar", {"cat/1.jpg": b"one", "cat/2.jpg": bytes(2000)})
    data = path.read_bytes()
    path.write_bytes(data[:2048])  # ends with the second header
    refused(path, into, "claims to hold over 100 bytes", max_bytes=100)
