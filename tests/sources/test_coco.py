import json

import pytest
from listed import list_files

from pipeline.core.errors import UserError

IMAGES = [
    {"id": "a", "file_name": "cam1/1.jpg", "seq_id": "s1", "location": 7, "width": 100,
     "height": 200, "datetime": "2011-05-13 23:43:18"},
    {"id": "b", "file_name": "cam1/2.jpg", "seq_id": "s1", "location": 7},
    {"id": "c", "file_name": "cam2/3.jpg", "location": 8},
    {"id": "d", "file_name": "cam2/4.jpg"},
    {"id": "e", "file_name": "cam2/5.jpg"},
    {"id": "f", "file_name": "cam2/6.jpg"},
    {"id": "g", "file_name": "cam2/7.jpg"},
]  # fmt: skip
KINDS = [
    {"id": 0, "name": "empty"},
    {"id": 1, "name": "lion"},
    {"id": 2, "name": "zebra"},
    {"id": 3, "name": "human"},
]
MARKS = [
    {"id": 1, "image_id": "a", "category_id": 1, "bbox": [10, 20, 50, 100]},
    {"id": 2, "image_id": "a", "category_id": 1, "bbox": [60, 20, 10.5, 10]},
    {"id": 3, "image_id": "a", "category_id": 3, "bbox": [0, 0, 5, 5]},
    {"id": 4, "image_id": "b", "category_id": 0},
    {"id": 5, "image_id": "c", "category_id": 1},
    {"id": 6, "image_id": "c", "category_id": 2},
    {"id": 7, "image_id": "d", "category_id": 2, "sequence_level_annotation": True},
    {"id": 8, "image_id": "e", "category_id": 3},
    {"id": 9, "image_id": "g", "category_id": 2},
    {"id": 10, "image_id": "nowhere", "category_id": 2},
]


@pytest.fixture
def folder(tmp_path):
    for image in IMAGES[:-1]:
        path = tmp_path / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "images" / "stray.jpg").write_bytes(b"x")
    write(tmp_path / "set.json")
    return tmp_path


def write(path, images=IMAGES, marks=MARKS, kinds=KINDS):
    path.write_text(json.dumps({"images": images, "annotations": marks, "categories": kinds}))


def test_pictures_with_one_several_and_no_annotations(folder):
    rows = list_files(folder).set_index("path")
    assert rows["reason"].dropna().to_dict() == {
        "cam2/7.jpg": "missing_file",
        "images/cam1/2.jpg": "blank",
        "images/cam2/3.jpg": "several_species",
        "images/cam2/5.jpg": "person_or_vehicle",
        "images/cam2/6.jpg": "no_species",
        "images/stray.jpg": "not_in_metadata",
    }
    good = rows[rows["reason"].isna()]
    assert good["species"].to_dict() == {"images/cam1/1.jpg": "lion", "images/cam2/4.jpg": "zebra"}
    first = rows.loc["images/cam1/1.jpg"]
    assert first["boxes"] == ((0.1, 0.1, 0.5, 0.5), (0.6, 0.1, 0.105, 0.05))
    assert (first["group"], first["location"]) == ("s1", "7")
    assert first["taken_at"] == "2011-05-13T23:43:18"
    assert rows.loc["images/cam2/3.jpg", "detail"] == "lion, zebra"


def test_labels_may_keep_what_shows_no_animal(folder):
    rows = list_files(folder, {"empty": "nobody", "zebra": None}).set_index("path")
    assert rows.loc["images/cam1/2.jpg", "species"] == "nobody"
    assert rows.loc["images/cam2/3.jpg", "species"] == "lion"
    assert rows.loc["images/cam2/4.jpg", "reason"] == "unwanted"


def test_a_file_of_each_split_and_boxes_in_a_file_of_their_own(folder):
    write(folder / "set.json", IMAGES[3:], MARKS)
    write(folder / "train.json", IMAGES[:1], MARKS[:1])
    write(folder / "boxes.json", IMAGES[3:4], [MARKS[6] | {"bbox": [1, 2, 3, 4]}])
    rows = list_files(folder).set_index("path")
    assert rows.loc["images/cam1/1.jpg", "split_hint"] == "train"
    assert rows.loc["images/cam2/4.jpg", "boxes"] == ((1.0, 2.0, 3.0, 4.0),)
    assert rows["split_hint"].notna().sum() == 1


@pytest.mark.parametrize("folder", ["cam1", "2020/cam1"])
def test_a_location_may_be_the_name_of_the_folder_that_holds_the_file(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "1.jpg").write_bytes(b"x")
    image = {"id": "a", "file_name": "1.jpg", "location": "cam1"}
    write(tmp_path / folder / "set.json", [image], [{"image_id": "a", "category_id": 1}])
    rows = list_files(tmp_path).set_index("path")
    assert rows["reason"].dropna().empty, rows["reason"]
    assert rows["species"].to_dict() == {f"{folder}/1.jpg": "lion"}


def test_numbers_and_texts_name_the_same_picture(folder):
    write(folder / "set.json", [{"id": 1, "file_name": "cam1/1.jpg"}],
          [{"image_id": "1", "category_id": "1"}])  # fmt: skip
    rows = list_files(folder).set_index("path")
    assert rows.loc["images/cam1/1.jpg", "species"] == "lion"


@pytest.mark.parametrize(
    "images",
    [[1, 2], [{"id": "a"}], [{"file_name": {"a": 1}}], [{"id": [1], "file_name": "x.jpg"}], [[]]],
)
def test_hostile_documents_are_mistakes_or_say_nothing(folder, images):
    write(folder / "set.json", images)
    try:
        rows = list_files(folder)
        assert rows["species"].isna().all()
    except UserError as error:
        assert "set.json" in str(error)


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe"])
def test_broken_json_is_named(folder, content):
    (folder / "set.json").write_bytes(content)
    with pytest.raises(UserError, match=r"set\.json is not valid JSON \(.+\): fix or remove it"):
        list_files(folder)
