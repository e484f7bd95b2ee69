"""Published archives, fetched from a real server on this machine and sorted into class folders."""

import hashlib
import io
import json
import tarfile
import zipfile

import pytest
import web as answers
from listed import list_files

from pipeline.core.errors import UserError
from pipeline.sources import folders
from pipeline.sources.recipes import archives as recipes_archives


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def unpack(web, tmp_path):
    """Serves archives, follows a recipe for them, and gives what lies in the folder."""

    def follow(*contents, inside=(), **lines):
        archives = []
        for number, content in enumerate(contents):
            one = {"url": web.put(f"/{number}.zip", answers.whole(content)), "size": len(content)}
            one["sha256"] = hashlib.sha256(content).hexdigest()
            archives.append(one | ({"inside": inside[number]} if inside else {}))
        known = {"kind": "archive", "archives": archives, "licence": "CC0", "citation": "me"}
        into = tmp_path / "files"
        into.mkdir()
        recipes_archives.unpack(recipes_archives.Published(**known, **lines), into)
        files = [path for path in into.rglob("*") if path.is_file()]
        return {path.relative_to(into).as_posix(): path.read_bytes() for path in files}

    return follow


def test_class_folders_are_left_as_they_are(unpack):
    files = {"all/cat/1.jpg": b"1", "all/owl/2.jpg": b"2"}
    assert unpack(zipped(**files)) == files


def test_species_out_of_file_names(unpack):
    """As in Oxford-IIIT Pet: no folders, and a stray file of another kind."""
    names = ["Abyssinian_1.jpg", "great_pyrenees_12.jpg", "great_pyrenees_2.jpg", "pug_1.mat"]
    found = unpack(
        tarred(**{f"images/{name}": name.encode() for name in names}),
        species_from=r"(?P<species>[^/]+)_\d+\.jpg$",
    )
    assert found == {
        "Abyssinian/images/Abyssinian_1.jpg": b"Abyssinian_1.jpg",
        "great_pyrenees/images/great_pyrenees_12.jpg": b"great_pyrenees_12.jpg",
        "great_pyrenees/images/great_pyrenees_2.jpg": b"great_pyrenees_2.jpg",
        "3 pug_1.mat": b"pug_1.mat",  # outside the class folders, so ingest tells of it
    }


def test_species_out_of_folder_names(unpack):
    """As in Stanford Dogs."""
    path = "Images/n02085620-Chihuahua/n02085620_199.jpg"
    found = unpack(tarred(**{path: b"1"}), species_from=r"/n\d{8}-(?P<species>[^/]+)/")
    assert found == {f"Chihuahua/{path}": b"1"}


def test_some_species_of_an_archive_in_an_archive(unpack):
    """As in Caltech-101."""
    names = ["accordion/1.jpg", "ant/1.jpg", "ant/2.jpg", "Leopards/1.jpg", "README"]
    inner = tarred(**{f"101_ObjectCategories/{name}": name.encode() for name in names})
    outer = zipped(
        **{
            "caltech-101/101_ObjectCategories.tar.gz": inner,
            "caltech-101/Annotations.tar": b"no tar",
            "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz": b"",
        }
    )
    found = unpack(
        outer, inside=["caltech-101/101_ObjectCategories.tar.gz"], species=["ant", "Leopards"]
    )
    assert set(found) == {"ant/1.jpg", "ant/2.jpg", "Leopards/1.jpg", "1 README"}


def test_pictures_and_their_metadata_in_two_archives(unpack, tmp_path):
    """As in CCT-20: what the JSON files say is found, and fits the pictures."""
    pictures = tarred(**{f"small/{n}.jpg": str(n).encode() for n in range(4)})
    names = [{"id": 1, "name": "bobcat"}, {"id": 30, "name": "empty"}]
    parts = {}
    for part, first in (("train", 0), ("trans_test", 2)):
        images = [
            {"id": f"i{n}", "file_name": f"{n}.jpg", "location": 38, "seq_id": f"s{first}"}
            for n in (first, first + 1)
        ]
        marks = [
            {"image_id": f"i{n}", "category_id": names[n % 2]["id"]} for n in (first, first + 1)
        ]
        document = {"images": images, "annotations": marks, "categories": names}
        parts[f"files/{part}_annotations.json"] = json.dumps(document).encode()
    unpack(pictures, tarred(**parts), inside=[None, "files"])
    rows = list_files(folders.top(tmp_path / "files")).set_index("path")
    assert list(rows.index) == [f"small/{n}.jpg" for n in range(4)]
    assert list(rows["species"].dropna()) == ["bobcat", "bobcat"]
    assert list(rows["reason"].dropna()) == ["blank", "blank"]
    assert set(rows["location"]) == {"38"}
    assert list(rows["group"]) == ["s0", "s0", "s2", "s2"]


def mistake(unpack, *contents, **lines):
    with pytest.raises(UserError) as caught:
        unpack(*contents, **lines)
    return str(caught.value)


def test_missing_inner_folder_is_told_with_what_there_is(unpack):
    message = mistake(unpack, zipped(**{"a/1": b"", "b/1": b""}), inside=["c"])
    assert "no c in http" in message
    assert "at its top is a, b" in message


@pytest.mark.parametrize("inside", ["../..", "/etc", "a/../../.."])
def test_nothing_outside_the_archive_is_taken(unpack, inside):
    assert "there is no" in mistake(unpack, zipped(**{"a/1": b""}), inside=[inside])


def test_missing_species_is_told_with_those_there_are(unpack):
    content = zipped(**{"cat/1": b"", "owl/1": b""})
    message = mistake(unpack, content, species=["cat", "cow"])
    assert "hold no cow" in message
    assert "cat, owl" in message


def test_pattern_that_fits_nothing_is_told(unpack):
    message = mistake(unpack, zipped(**{"cat/1": b""}), species_from="(?P<species>dog)")
    assert "(?P<species>dog)" in message


def test_two_archives_with_the_same_folder_are_refused(unpack):
    content = zipped(**{"cat/1": b""})
    assert "holds cat, and so does" in mistake(unpack, content, content)


@pytest.mark.parametrize("name", ["._1.jpg", ".._1.jpg", "..hidden_1.jpg"])
def test_names_that_make_no_folder_are_no_species(unpack, name):
    """Hidden files are not even unpacked; a hidden or upper folder is never made."""
    files = {f"a/{name}": b"evil", "a/cat_1.jpg": b"good"}
    found = unpack(zipped(**files), species_from=r"(?P<species>[^/]*)_\d\.jpg$")
    assert found == {"cat/a/cat_1.jpg": b"good"}


def test_hostile_archive_is_refused_though_its_checksum_is_right(unpack, tmp_path):
    assert "points out of its folder" in mistake(unpack, zipped(**{"../../evil": b"x"}))
    assert not list(tmp_path.rglob("evil"))
