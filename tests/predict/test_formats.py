"""Answers as what other programs read."""

import csv
import json
from xml.etree import ElementTree

import pytest

from pipeline.core.errors import UserError
from pipeline.predict.formats import megadetector, xmp
from pipeline.predict.formats.camtrap_dp import COLUMNS, Packages

LABELS = ["cat", "dog"]


def answer(path, species="cat", unknown=False):
    top = [{"species": species, "probability": 0.9}, {"species": "dog", "probability": 0.1}]
    said = {**top[0], "top": top, "unknown": unknown, "reason": "it is like none", "error": None}
    return {"path": str(path), "photo": "0" * 64} | said


def failed(path):
    nothing = {"species": None, "probability": None, "top": [], "error": "empty: no bytes"}
    return {"path": str(path), "photo": "0" * 64} | nothing


def test_megadetector_names_every_file_and_its_species_by_number(tmp_path):
    megadetector.write([answer("é.jpg"), failed("b.jpg")], LABELS, tmp_path / "md.json")
    written = json.loads((tmp_path / "md.json").read_text(encoding="utf-8"))
    assert written["info"]["format_version"] == "1.4"
    assert written["classification_categories"] == {"0": "cat", "1": "dog"}
    second = answer("c.jpg", "dog") | {"top": [{"species": "dog", "probability": 0.7}]}
    megadetector.write([second], LABELS, tmp_path / "dog.json")
    (dog,) = json.loads((tmp_path / "dog.json").read_text())["images"]
    assert dog["detections"][0]["classifications"] == [["1", 0.7]]
    good, bad = written["images"]
    assert good["file"] == "é.jpg"
    assert good["detections"][0]["classifications"] == [["0", 0.9], ["1", 0.1]]
    assert bad == {"file": "b.jpg", "failure": "empty: no bytes", "detections": None}


@pytest.fixture
def package(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media.csv").write_text(
        "mediaID,deploymentID,timestamp,filePath\n"
        "m1,d1,2020-05-30T04:57:37Z,media/1.jpg\n"
        "m2,d2,2020-05-30T04:57:38Z,media/2.jpg\n"
        "m3,d2,2020-05-30T04:57:39Z,media/3.jpg\n"
    )
    return tmp_path


def test_camtrap_dp_observations_refer_to_the_media_of_their_package(package, capsys):
    photos = [package / "media" / f"{i}.jpg" for i in (1, 2, 3, 4)]
    answers = [answer(photos[0]), failed(photos[1]), answer(photos[2], unknown=True)]
    answers.append(answer(photos[3]))
    Packages().write(answers, LABELS, package / "observations.csv")
    with (package / "observations.csv").open() as file:
        first, second, third = csv.DictReader(file)
    assert (first["mediaID"], first["deploymentID"]) == ("m1", "d1")
    assert first["eventStart"] == first["eventEnd"] == "2020-05-30T04:57:37Z"
    assert (first["observationType"], first["scientificName"]) == ("animal", "cat")
    assert first["classificationProbability"] == "0.9"
    assert (second["observationType"], second["scientificName"]) == ("unclassified", "")
    assert (third["observationType"], third["scientificName"]) == ("unknown", "")
    assert third["observationComments"] == "it is like none"
    assert "1 photos are in no media.csv" in capsys.readouterr().err


def test_camtrap_dp_tells_photos_of_the_same_name_apart(tmp_path):
    """Two packages, and in one two folders, have an `1.jpg`, of different cameras."""
    head = "mediaID,deploymentID,timestamp,filePath\n"
    rows = {"p": ["m1,d1,t1,a/1.jpg", "m2,d2,t2,b/1.jpg"], "q": ["m3,d3,t3,a/1.jpg"]}
    for package, lines in rows.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "media.csv").write_text(head + "\n".join(lines))
    asked = [("q/a/1.jpg", "dog"), ("p/b/1.jpg", "cat"), ("p/a/1.jpg", "dog")]
    answers = [answer(tmp_path / path, species) for path, species in asked]
    Packages().write(answers, LABELS, tmp_path / "observations.csv")
    with (tmp_path / "observations.csv").open() as file:
        found = [
            [row[n] for n in ("mediaID", "deploymentID", "eventStart", "scientificName")]
            for row in csv.DictReader(file)
        ]
    assert found == [
        ["m3", "d3", "t3", "dog"],
        ["m2", "d2", "t2", "cat"],
        ["m1", "d1", "t1", "dog"],
    ]


def test_each_photo_gets_the_sidecar_of_its_own_answer(tmp_path):
    said = {"b.png": "dog", "b.jpg": "cat", "a.jpg": "unknown"}
    for name in said:
        (tmp_path / name).touch()
    answers = [answer(tmp_path / name, species) for name, species in said.items()]
    answers[2] = answer(tmp_path / "a.jpg", "dog", unknown=True)
    assert xmp.write(answers) == {"written": 3}
    sidecars = {path.name for path in tmp_path.glob("*.xmp")}
    assert sidecars == {f"{name}.xmp" for name in said}
    for name, keyword in said.items():
        text = (tmp_path / f"{name}.xmp").read_text(encoding="utf-8")
        assert f"<rdf:li>{keyword}</rdf:li>" in text


def test_camtrap_dp_has_the_columns_of_the_standard(photos_folder):
    with (photos_folder("camtrap_dp") / "observations.csv").open() as file:
        assert next(csv.reader(file)) == COLUMNS


def test_camtrap_dp_wants_a_package(tmp_path):
    with pytest.raises(UserError, match="lies in no Camtrap DP package"):
        Packages().write([answer(tmp_path / "1.jpg")], LABELS, tmp_path / "observations.csv")


def test_a_sidecar_holds_the_species_as_keyword_and_is_written_anew(tmp_path):
    photo, broken = tmp_path / "1.jpg", tmp_path / "2.jpg"
    photo.touch()
    broken.touch()
    inside = answer("trip.zip/1.jpg")
    for species in ("cat", "blue & co"):
        answers = [answer(photo, species), failed(broken), inside]
        assert xmp.write(answers) == {"written": 1}
    root = ElementTree.parse(tmp_path / "1.jpg.xmp").getroot()
    keywords = root.findall(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")
    assert [keyword.text for keyword in keywords] == ["blue & co", "blue & co"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jpg", "1.jpg.xmp", "2.jpg"]


def test_a_sidecar_of_somebody_else_stays(tmp_path):
    photo, sidecar = tmp_path / "1.jpg", tmp_path / "1.jpg.xmp"
    photo.touch()
    sidecar.write_text("<x:xmpmeta>five stars</x:xmpmeta>")
    assert xmp.write([answer(photo)]) == {"foreign": 1}
    assert sidecar.read_text() == "<x:xmpmeta>five stars</x:xmpmeta>"
