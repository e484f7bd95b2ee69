import unicodedata

import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.sources import annotations, paths


def located(said, disk):
    return list(paths.match(pd.Series(said, dtype="str"), disk)["path"])


def settled(**columns):
    return annotations.settled(annotations.frame(**columns))


@pytest.mark.parametrize(
    ("said", "disk"),
    [
        ("cat/1.jpg", "cat/1.jpg"),
        ("./cat/1.jpg", "cat/1.jpg"),
        ("cat\\1.jpg", "cat/1.jpg"),
        ("1.jpg", "images/1.jpg"),
        ("a/1.jpg", "some/where/a/1.jpg"),
        ("/home/me/set/cat/1.jpg", "cat/1.jpg"),
        ("C:\\set\\cat\\1.jpg", "cat/1.jpg"),
        ("CAT/1.JPG", "cat/1.jpg"),
        ("cat/1", "cat/1.jpg"),
        ("1", "images/1.JPEG"),
        (unicodedata.normalize("NFD", "söt/é.jpg"), unicodedata.normalize("NFC", "söt/é.jpg")),
        (unicodedata.normalize("NFC", "söt/é.jpg"), unicodedata.normalize("NFD", "söt/é.jpg")),
    ],
)
def test_file_that_a_path_means(said, disk):
    assert located([said], [disk, "other/2.jpg"]) == [disk]


@pytest.mark.parametrize(
    ("said", "disk"),
    [
        ("cat/3.jpg", ["cat/1.jpg"]),
        ("cat/1", ["cat/1.jpg", "cat/1.png"]),
        ("Cat/1.jpg", ["cat/1.jpg", "CAT/1.jpg"]),
        ("../../etc/passwd", ["cat/1.jpg"]),
        ("/etc/passwd", ["cat/1.jpg"]),
        ("https://example.com/1.jpg", ["cat/2.jpg"]),
    ],
)
def test_path_that_means_no_file_or_any_of_several_stays(said, disk):
    assert located([said], disk) == [said]


def test_the_same_name_in_many_folders_is_not_mixed_up():
    disk = [f"images/cam{i}/IMG_0001.jpg" for i in range(50)]
    said = [f"cam{i}/IMG_0001.jpg" for i in range(60)]
    assert located(said, disk) == [*disk, *said[50:]]


@pytest.mark.parametrize("folder", ["cam1", "2020/cam1"])
def test_of_files_in_one_folder_those_that_are_written_with_another_are_not_taken(folder):
    disk = [f"{folder}/{i}.jpg" for i in range(1, 5)]
    said = pd.Series(["1.jpg", "cam1/2.jpg", f"set/{folder}/3.jpg", "2021/cam2/4.jpg"], dtype="str")
    matched = paths.match(said, disk, folder=folder)
    assert matched["problem"].fillna("").tolist() == ["", "", "", "ambiguous_file"]
    assert matched["path"].tolist()[:3] == disk[:3]


def test_files_that_differ_in_case_or_normal_form_alone_are_each_found_by_their_own_name():
    disk = ["a.jpg", "A.jpg", *(unicodedata.normalize(f, "é.jpg") for f in ("NFC", "NFD"))]
    assert located(disk, disk) == disk


def test_several_annotations_of_a_picture_come_to_one_row():
    files = settled(
        path=["1", "1", "2", "2", "3", "4", "5"],
        species=["lion", "lion", "lion", "zebra", None, None, "lion"],
        reason=[None, None, None, None, "blank", None, None],
        location=[None, "here", None, None, None, None, None],
    )
    assert list(files.index) == ["1", "2", "3", "4", "5"]
    reasons = {"2": "several_species", "3": "blank", "4": "no_species"}
    assert files["reason"].dropna().to_dict() == reasons
    assert files["species"].dropna().to_dict() == {"1": "lion", "5": "lion"}
    assert files["detail"].dropna().to_dict() == {"2": "lion, zebra"}
    assert files["location"].dropna().to_dict() == {"1": "here"}


def test_people_beside_an_animal_do_not_count():
    files = settled(
        path=["1", "1"],
        species=["human", "lion"],
        reason=["person_or_vehicle", None],
        **{side: [0.1, 0.2] for side in "xywh"},
    )
    assert files["species"].tolist() == ["lion"]
    assert files["reason"].isna().all()
    assert files["boxes"].tolist() == [((0.2, 0.2, 0.2, 0.2),)]


def test_addresses_are_no_photos_here_whatever_they_show():
    paths = ["https://a.b/1.jpg", "gs://a/2.jpg", "3.MP4", "C:/4.jpg"]
    files = settled(path=paths, species=["lion"] * 4)
    assert files["reason"].dropna().tolist() == ["remote", "remote"]
    assert (files["species"] == "lion").all()


def test_boxes_in_pixels_become_shares_where_the_size_is_known():
    rows = annotations.frame(
        path=["1", "1", "1", "2", "3", "4"],
        x=[10, 10, 50, 10, None, 5], y=[20, 20, 0, 20, 1, 5],
        w=[50, 50, 50, 30, 1, 0], h=[100, 100, 10, 40, 1, 9],
        width=[100, 100, 100, None, 10, 10], height=[200, 200, 200, None, 10, 10],
    )  # fmt: skip
    boxes = annotations.boxes(rows)
    assert boxes.to_dict() == {
        "1": ((0.1, 0.1, 0.5, 0.5), (0.5, 0.0, 0.5, 0.05)),
        "2": ((10.0, 20.0, 30.0, 40.0),),
    }


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2020-05-30T04:57:37Z", "2020-05-30T04:57:37"),
        ("2020-05-30T04:57:37+02:00", "2020-05-30T04:57:37"),
        ("2020-05-30 04:57:37.123", "2020-05-30T04:57:37"),
        ("2020:05:30 04:57:37", "2020-05-30T04:57:37"),
        ("2020/5/3 4:57", "2020-05-03T04:57:00"),
        ("2020-05-30", "2020-05-30T00:00:00"),
        ("30.05.2020", "2020-05-30T00:00:00"),
        ("5/31/2020 12:05:09 AM", "2020-05-31T00:05:09"),
        ("31/05/2020, 1:30 p.m.", "2020-05-31T13:30:00"),
        ("05/06/2020 10:00", None),
        ("2020-13-45", None),
        ("soon", None),
        (None, None),
    ],
)
def test_times(written, time):
    (got,) = annotations.times(pd.Series([written], dtype="str"))
    assert got == time or (pd.isna(got) and time is None)


@pytest.mark.parametrize(
    ("last", "first"),
    [("31/05/2020", "2020-06-05"), ("05/31/2020", "2020-05-06"), ("05/05/2020", None)],
)
def test_day_and_month_are_known_apart_by_all_rows(last, first):
    written = pd.Series(["05/06/2020 10:00", last, "2020-01-02"], dtype="str", index=[3, 1, 2])
    got = annotations.times(written)
    assert got[2] == "2020-01-02T00:00:00"
    assert pd.isna(got[3]) if first is None else got[3] == f"{first}T10:00:00"


def test_both_orders_in_one_column_are_no_times():
    """Nobody knows then which of the others are which."""
    rows = annotations.frame(path=["a", "b"], taken_at=["31/05/2020", "05/31/2020"])
    assert rows["taken_at"].isna().all()
    assert rows["unread_time"].tolist() == ["31/05/2020", "05/31/2020"]


def relabelled(labels, **columns):
    return annotations.relabelled(annotations.frame(**columns), labels)


def test_labels_rename_merge_and_drop():
    rows = relabelled(
        {"Panther": "leopard", "dog": None, "empty": "empty"},
        path=list("12345"),
        species=["Panther", "leopard", "dog", "empty", "human"],
        reason=[None, None, None, "blank", "person_or_vehicle"],
    )
    assert rows["species"].fillna("").tolist() == ["leopard", "leopard", "", "empty", "human"]
    reasons = ["", "", "unwanted", "", "person_or_vehicle"]
    assert rows["reason"].fillna("").tolist() == reasons


def test_merged_species_in_one_picture_are_one():
    rows = relabelled({"lioness": "lion"}, path=["1", "1"], species=["lion", "lioness"])
    assert annotations.settled(rows)["species"].tolist() == ["lion"]


def test_unknown_label_lists_the_species_there_are():
    with pytest.raises(UserError, match="names lynx, tiger, which") as caught:
        relabelled(
            {"tiger": "cat", "lion": "x", "lynx": None}, path=["1", "2"], species=["owl", "lion"]
        )
    assert "the species there are: lion, owl" in str(caught.value)


def test_species_that_differ_in_case_alone_are_a_mistake_until_merged():
    columns = {"path": ["1", "2"], "species": ["Lion", "lion"]}
    with pytest.raises(UserError, match=r"Lion and lion differ .* ingest\.labels: \{Lion: lion\}"):
        relabelled({}, **columns)
    assert set(relabelled({"Lion": "lion"}, **columns)["species"]) == {"lion"}


def test_species_in_either_normal_form_are_one():
    forms = [unicodedata.normalize(form, "söt") for form in ("NFC", "NFD")]
    rows = relabelled({}, path=["1", "2"], species=forms)
    assert rows["species"].nunique() == 1
