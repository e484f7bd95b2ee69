"""A Camtrap DP package of predictions, judged by frictionless' validator."""

import json
import sys
import zipfile

import frictionless
import jsonschema
import pandas as pd
import pytest
from PIL import Image

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.predict import formats
from pipeline.predict.formats.camtrap_dp_package import Deployments
from predict import camtrap_dp_schemas as standard

TAKEN = 0x9003
TABLE = (
    "deploymentID,latitude,longitude,deploymentStart,deploymentEnd,habitat,mine\n"
    "north,50.5,5.25,2024-05-01T08:00:00+02:00,2024-06-01T08:00:00+02:00,oak wood,x\n"
    "south,-1.5,37,2024-05-01T08:00:00Z,2024-06-02T08:00:00Z,,\n"
)


def write(text, path):
    path.write_text(text)
    return path


def valid(zipped, folder):
    """Unpacks a package, and returns what is wrong with it."""
    with zipfile.ZipFile(zipped) as package:
        package.extractall(folder)
    described = json.loads((folder / "datapackage.json").read_text())
    jsonschema.validate(described, standard.PROFILE, format_checker=jsonschema.FormatChecker())
    del described["profile"]  # on the web, as the schemas are
    for resource in described["resources"]:
        assert resource["schema"].endswith(f"/1.0.2/{resource['name']}-table-schema.json")
        resource["schema"] = standard.TABLES[resource["name"]]
    report = frictionless.Package(described, basepath=str(folder)).validate()
    return report.flatten(["rowNumber", "fieldName", "type", "note"])


@pytest.fixture
def trip(tmp_path, monkeypatch):
    """Two cameras with three bursts, a broken photo and one without a time."""
    monkeypatch.chdir(tmp_path)
    photos = [("north/1.jpg", "red", "00:00"), ("north/2.jpg", "navy", "00:08"),
              ("south/100_CAN/1.jpg", "blue", "00:00"), ("south/100_CAN/2.png", "red", None),
              ("south/100_CAN/3.jpg", "red", "30:00")]  # fmt: skip
    for number, (path, colour, time) in enumerate(photos):
        exif = Image.Exif()
        if time:
            exif.get_ifd(0x8769)[TAKEN] = f"2024:05:03 10:{time}"
        (tmp_path / "trip" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 50 + number), colour).save(f"trip/{path}", exif=exif)
    (tmp_path / "trip/north/3.jpg").write_bytes(b"no photo")
    write(TABLE, tmp_path / "cameras.csv")
    return tmp_path


def predict(recogniser, monkeypatch, *arguments):
    command = ["predict", "trip", "--model", str(recogniser), "--jobs", "1", *arguments]
    monkeypatch.setattr(sys, "argv", ["animal", *command])
    cli.main()


def test_a_package_of_predictions_is_valid(recogniser, trip, monkeypatch, capsys):
    predict(recogniser, monkeypatch, "--output", "all.zip", "--deployments", "cameras.csv")
    assert "2 photos have no time" in capsys.readouterr().err
    assert valid("all.zip", trip) == []
    media = pd.read_csv("media.csv").set_index("filePath")
    assert all((trip / path).is_file() for path in media.index)
    assert media["deploymentID"].to_dict() == {
        "trip/north/1.jpg": "north",
        "trip/north/2.jpg": "north",
        "trip/south/100_CAN/1.jpg": "south",
        "trip/south/100_CAN/3.jpg": "south",
    }
    assert media.loc["trip/north/2.jpg", "timestamp"] == "2024-05-03T10:00:08+02:00"
    assert media.loc["trip/south/100_CAN/1.jpg", "timestamp"] == "2024-05-03T10:00:00+00:00"
    observations = pd.read_csv("observations.csv")
    assert observations["observationLevel"].tolist() == ["media"] * 4 + ["event"] * 3
    burst = observations[observations["eventID"] == observations["eventID"][0]]
    assert burst["scientificName"].tolist()[-1] in ("red", "blue & co")
    assert burst["eventEnd"].tolist()[-1] == "2024-05-03T10:00:08+02:00"
    described = json.loads((trip / "datapackage.json").read_text())
    assert described["spatial"]["coordinates"][0][:3] == [[5.25, -1.5], [37, -1.5], [37, 50.5]]
    assert described["temporal"] == {"start": "2024-05-01", "end": "2024-06-02"}
    assert [one["scientificName"] for one in described["taxonomic"]] == ["blue & co", "red"]
    assert pd.read_csv("deployments.csv")["habitat"].tolist()[0] == "oak wood"


def test_the_validator_sees_what_is_wrong(recogniser, trip, monkeypatch):
    """The test above would pass if frictionless checked nothing."""
    predict(recogniser, monkeypatch, "--output", "all.zip", "--deployments", "cameras.csv")
    valid("all.zip", trip)
    spoilt = {
        "observations.csv": ("media,animal", "medium,animal"),
        "media.csv": ("north,", "west,"),
    }
    with zipfile.ZipFile("spoilt.zip", "w") as package:
        for name in ("deployments.csv", "media.csv", "observations.csv", "datapackage.json"):
            old, new = spoilt.get(name, ("", ""))
            package.writestr(name, (trip / name).read_text().replace(old, new))
    kinds = {kind for _, _, kind, _ in valid("spoilt.zip", trip / "spoilt")}
    assert kinds == {"constraint-error", "foreign-key"}


def test_what_a_package_needs_is_wanted_before_the_first_photo(recogniser, trip, monkeypatch):
    with pytest.raises(SystemExit, match="where and when its cameras stood"):
        predict(recogniser, monkeypatch, "--output", "all.zip")
    write(TABLE.replace("south,", "west,"), trip / "cameras.csv")
    with pytest.raises(SystemExit, match="lies in no folder named after a deployment"):
        predict(recogniser, monkeypatch, "--output", "all.zip", "--deployments", "cameras.csv")
    assert not list(trip.glob("all.zip*"))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("latitude", "lat", "has no column latitude"),
        ("north,", ",", "a deployment has no deploymentID"),
        ("south,", "north,", "has deploymentID north twice"),
        (",-1.5,", ",-95,", "latitude is -95, not a number from -90 to 90"),
        ("08:00:00+02:00", "08:00:00", "not a time with its zone"),
        ("2024-06-02T08:00:00Z", "June", "deploymentEnd is 'June'"),
    ],
)
def test_a_table_of_deployments_says_what_is_wrong(tmp_path, old, new, error):
    path = write(TABLE.replace(old, new), tmp_path / "cameras.csv")
    with pytest.raises(UserError, match=error):
        Deployments(path)


def test_a_table_of_deployments_is_for_packages_alone(tmp_path):
    path = write(TABLE, tmp_path / "cameras.csv")
    assert formats.named("camtrap-dp-package", path).check is not None
    with pytest.raises(UserError, match="--deployments is for camtrap-dp-package, and not for csv"):
        formats.named("csv", path)
