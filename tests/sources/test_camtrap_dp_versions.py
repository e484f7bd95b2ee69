"""Camtrap DP as programs and spreadsheets write it: versions, identifiers, places, clocks."""

import json

import pytest
from listed import list_files

from pipeline.core.errors import UserError

DEPLOYMENTS = "deploymentID,locationID\n1,wood\n2,hill\n"
MEDIA = """mediaID,deploymentID,timestamp,filePath
1,1,2020-05-30T04:00:00Z,1.jpg
2,1,2020-05-30T05:00:00Z,2.jpg
3,2,2020-05-30T04:00:00Z,3.jpg
"""
OBSERVATIONS = """deploymentID,mediaID,observationType,scientificName
1,1,animal,Vulpes vulpes
1,2,blank,
2,3,animal,Meles meles
"""


@pytest.fixture
def package(tmp_path):
    def write(deployments=DEPLOYMENTS, media=MEDIA, observations=OBSERVATIONS, version="1.0.2"):
        tables = {"deployments": deployments, "media": media, "observations": observations}
        resources = []
        for name, text in tables.items():
            parts = text if isinstance(text, list) else [text]
            paths = [f"{name}{i}.csv" for i in range(len(parts))]
            for path, part in zip(paths, parts, strict=True):
                (tmp_path / path).write_text(part)
            resources.append({"name": name, "path": paths if len(paths) > 1 else paths[0]})
        profile = f"https://rs.gbif.org/camtrap-dp/{version}/camtrap-dp-profile.json"
        document = {"profile": profile, "resources": resources}
        (tmp_path / "datapackage.json").write_text(json.dumps(document))
        for i in range(1, 6):
            (tmp_path / f"{i}.jpg").write_bytes(b"x")
        return list_files(tmp_path).set_index("path").loc["1.jpg":"5.jpg"]

    return write


SPECIES = {"1.jpg": "Vulpes vulpes", "3.jpg": "Meles meles"}


@pytest.mark.parametrize(
    "change",
    [
        {},  # none of the columns that the standard leaves optional
        {"version": "1.0"},
        {"deployments": "deploymentID;locationID\n1.0;wood\n2.0;hill\n"},
        {"media": MEDIA.replace("\n1,1,", "\n1.0,1,").replace("\n3,2,", "\n 3 ,2.0,")},
        {"observations": OBSERVATIONS.replace(",3,", ",3.0,")},
        {"media": [MEDIA.rpartition("3,2,")[0], MEDIA.split("1,1,")[0] + "3,2,,3.jpg\n"]},
    ],
)
def test_ids_join_whatever_type_they_were_written_as(package, change):
    rows = package(**change)
    assert rows.loc[rows["reason"].isna(), "species"].to_dict() == SPECIES
    assert rows["reason"]["2.jpg"] == "blank"
    assert rows.loc[["1.jpg", "2.jpg", "3.jpg"], "location"].tolist() == ["wood", "wood", "hill"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": "0.1.6"}, r"datapackage\.json is Camtrap DP 0\.1\.6; 1\.0 and later are read"),
        (
            {"media": "media_id,deployment_id,timestamp,file_path\n1,1,,1.jpg\n"},
            r"media0\.csv has no column deploymentID, filePath, mediaID, which Camtrap DP 1\.0",
        ),
    ],
)
def test_a_package_of_an_earlier_version_is_refused_in_a_sentence(package, change, sentence):
    with pytest.raises(UserError, match=sentence):
        package(**change)


def test_coordinates_to_ten_metres_stand_in_for_a_missing_location(package):
    rows = package(
        deployments="deploymentID,locationID,latitude,longitude\n"
        "1,,50.00001,-4.0\n2,,50.00004,-4.00004\n3,,50.0002,-4\n4,wood,50,-4\n5,,,\n",
        media="mediaID,deploymentID,timestamp,filePath\n"
        + "".join(f"{i},{i},2020-05-30T04:00:00Z,{i}.jpg\n" for i in range(1, 6)),
        observations="deploymentID,mediaID,observationType,scientificName\n"
        + "".join(f"{i},{i},animal,Meles meles\n" for i in range(1, 6)),
    )
    near, far = "50.0000,-4.0000", "50.0002,-4.0000"
    assert rows["location"].tolist() == [near, near, far, "wood", "5"]


def test_times_without_a_zone_are_on_the_clock_of_the_others_and_counted(package, capsys):
    rows = package(
        media="mediaID,deploymentID,timestamp,filePath\n"
        "1,1,2020-05-30T06:00:00+02:00,1.jpg\n"
        "2,1,2020-05-30T06:00:30,2.jpg\n"
        "3,1,2020-05-30T04:00:30,3.jpg\n",
        observations="deploymentID,mediaID,eventID,eventStart,eventEnd,observationType,"
        "scientificName\n"
        "1,,e,2020-05-30T06:00:00+0200,2020-05-30T04:01:00Z,animal,Meles meles\n"
        "1,,f,2020-05-30T07:00:00+02:00,2020-05-30T08:00:00+02:00,animal,Sus scrofa\n",
    )
    assert rows["species"].dropna().to_dict() == {"1.jpg": "Meles meles", "2.jpg": "Meles meles"}
    said = capsys.readouterr().err
    assert "2 of 7 times of the package have no time zone; they are taken as +02:00" in said


def test_frames_of_a_time_lapse_take_no_label_from_an_event_of_a_trigger(package):
    rows = package(
        media="mediaID,deploymentID,captureMethod,timestamp,filePath\n"
        "1,1,activityDetection,2020-05-30T04:00:00Z,1.jpg\n"
        "2,1,timeLapse,2020-05-30T04:00:10Z,2.jpg\n"
        "3,1,activityDetection,2020-05-30T04:00:20Z,3.jpg\n"
        "4,2,timeLapse,2020-05-30T04:00:00Z,4.jpg\n"
        "5,1,timeLapse,2020-05-30T04:00:30Z,5.jpg\n",
        observations="deploymentID,mediaID,eventID,eventStart,eventEnd,observationType,"
        "scientificName\n"
        "1,,e,2020-05-30T04:00:00Z,2020-05-30T04:00:30Z,animal,Meles meles\n"
        "2,,f,2020-05-30T04:00:00Z,2020-05-30T04:00:30Z,animal,Sus scrofa\n"
        "1,5,g,,,animal,Lynx lynx\n",
    )
    assert rows["species"].dropna().to_dict() == {
        "1.jpg": "Meles meles",
        "3.jpg": "Meles meles",
        "4.jpg": "Sus scrofa",
        "5.jpg": "Lynx lynx",
    }
    assert rows["reason"]["2.jpg"] == "no_species"
