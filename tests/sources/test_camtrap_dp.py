import json

import pytest
from listed import list_files

from pipeline.core.errors import UserError

DEPLOYMENTS = "deploymentID,locationID\nd1,wood\nd2,wood\nd3,\n"
MEDIA = """mediaID,deploymentID,timestamp,filePath,fileMediatype
m1,d1,2020-05-30T04:00:00Z,1.jpg,image/jpeg
m2,d1,2020-05-30T04:00:01Z,2.jpg,image/jpeg
m3,d1,2020-05-30T04:01:00Z,3.jpg,image/jpeg
m4,d2,2020-05-30T04:00:00Z,4.jpg,image/jpeg
m5,d3,2020-05-30T06:00:00+02:00,5.jpg,image/jpeg
m6,d3,2020-05-30T05:00:00Z,6.jpg,image/jpeg
m7,d3,2020-05-30T06:00:00Z,7.jpg,image/jpeg
m8,d3,2020-05-30T07:00:00Z,https://example.com/8.jpg,image/jpeg
m9,d3,2020-05-30T08:00:00Z,9.bin,video/mp4
"""
OBSERVATIONS = """deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,\
observationType,scientificName,bboxX,bboxY,bboxWidth,bboxHeight
d1,,e1,2020-05-30T04:00:00Z,2020-05-30T04:00:01Z,event,animal,Vulpes vulpes,,,,
d1,m2,e2,,,media,animal,Felis catus,0.1,0.2,0.3,0.4
d1,m3,e2,,,media,human,,,,,
d2,,e1,2020-05-30T04:00:00Z,2020-05-30T04:00:01Z,event,animal,Meles meles,,,,
d3,,e4,2020-05-30T04:00:00Z,2020-05-30T05:00:00Z,event,animal,Meles meles,,,,
d3,,e5,2020-05-30T05:00:00Z,2020-05-30T05:30:00Z,event,animal,Vulpes vulpes,,,,
d3,m7,e6,,,media,blank,,,,,
d3,m8,e7,,,media,animal,Vulpes vulpes,,,,
d3,m9,e8,,,media,animal,Vulpes vulpes,,,,
d3,gone,e9,,,media,animal,Vulpes vulpes,,,,
"""


@pytest.fixture
def package(tmp_path):
    tables = {"deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS}
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    describe(tmp_path, {name: f"{name}.csv" for name in tables})
    for i in range(1, 8):
        (tmp_path / f"{i}.jpg").write_bytes(b"x")
    return tmp_path


def describe(folder, paths):
    resources = [{"name": name, "path": path} for name, path in paths.items()]
    (folder / "datapackage.json").write_text(json.dumps({"resources": resources}))


def test_observations_of_media_and_of_events(package):
    rows = list_files(package).set_index("path")
    assert rows["reason"].dropna().to_dict() == {
        "3.jpg": "person_or_vehicle",
        "6.jpg": "several_species",
        "7.jpg": "blank",
        "9.bin": "missing_file",
        "https://example.com/8.jpg": "remote",
    }
    good = rows[rows["reason"].isna()]
    assert good["species"].to_dict() == {
        "1.jpg": "Vulpes vulpes",
        "2.jpg": "Felis catus",
        "4.jpg": "Meles meles",
        "5.jpg": "Meles meles",
    }
    assert good["boxes"].dropna().to_dict() == {"2.jpg": ((0.1, 0.2, 0.3, 0.4),)}
    assert good["taken_at"]["5.jpg"] == "2020-05-30T06:00:00"


def test_groups_are_events_joined_by_shared_media_and_locations_those_of_deployments(package):
    rows = list_files(package).set_index("path")
    group = rows["group"].loc[[f"{i}.jpg" for i in range(1, 8)]].tolist()
    assert group == ["d1/e1", "d1/e1", "d1/e1", "d2/e1", "d3/e4", "d3/e4", "d3/e6"]
    assert rows["location"][["1.jpg", "4.jpg", "5.jpg"]].tolist() == ["wood", "wood", "d3"]


@pytest.mark.parametrize("path", ["gone.csv", "../media.csv", "/etc/passwd", None, ["gone.csv"]])
def test_table_that_is_not_there(package, path):
    describe(package, {"deployments": "deployments.csv", "media": path, "observations": "o.csv"})
    with pytest.raises(UserError, match=r"datapackage\.json names .* for media; it is not there"):
        list_files(package)


def test_the_real_package(photos_folder):
    rows = list_files(photos_folder("camtrap_dp")).set_index("path")
    assert rows["reason"].dropna().to_dict() == {
        "equid.webp": "not_in_metadata",
        "https://example.com/remote.jpg": "remote",
        "skip_me.mp4": "missing_file",
    }
    good = rows[rows["reason"].isna()]
    assert good["species"].to_dict() == {
        "chimpanzee_bonobo.jpeg": "Pan",
        "small_cat.jpg": "Felis catus",
        "wild_dog_jackal.jpg": "Canis aureus",
    }
    assert good["location"].tolist() == ["loc2", "loc1", "loc1"]
    assert good["boxes"]["small_cat.jpg"] == ((0.1, 0.2, 0.3, 0.4),)
