"""Sets of XML files, one a picture, as VOC's own tools and LabelImg lay them out."""

from xml.etree import ElementTree

import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.sources import reader
from pipeline.sources.choice import Rules


def annotated(folder, picture, xml, *objects, filename=None):
    """Writes a picture and its XML; objects are (species, xmin, ymin, xmax, ymax)."""
    (folder / picture).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100)).save(folder / picture)
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = "C:\\elsewhere"
    ElementTree.SubElement(root, "filename").text = filename or picture.rpartition("/")[2]
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", 200), ("height", 100), ("depth", 3)):
        ElementTree.SubElement(size, name).text = str(value)
    for species, *corners in objects:
        one = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(one, "name").text = species
        box = ElementTree.SubElement(one, "bndbox")
        for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            ElementTree.SubElement(box, name).text = str(value)
    (folder / xml).parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(folder / xml)


def read(folder, **rules):
    collection = reader.read(folder, Rules(**rules))
    return collection, collection.files.set_index("path")


def test_species_and_boxes_come_from_the_xml_in_annotations(tmp_path):
    annotated(tmp_path, "VOC/JPEGImages/01.jpg", "VOC/Annotations/01.xml", ("fox", 20, 10, 60, 90))
    annotated(tmp_path, "VOC/JPEGImages/02.jpg", "VOC/Annotations/02.xml", ("owl", 0, 5, 100, 100))
    two = [("owl", 0, 0, 50, 50), ("owl", 100, 50, 200, 100)]
    annotated(tmp_path, "VOC/JPEGImages/03.jpg", "VOC/Annotations/03.xml", *two)
    annotated(
        tmp_path, "VOC/JPEGImages/04.jpg", "VOC/Annotations/04.xml", *two, ("fox", 1, 1, 2, 2)
    )
    annotated(tmp_path, "VOC/JPEGImages/05.jpg", "VOC/Annotations/05.xml")
    collection, files = read(tmp_path)
    files.index = files.index.str.removeprefix("VOC/JPEGImages/")
    assert files["species"].dropna().to_dict() == {
        "01.jpg": "fox",
        "02.jpg": "owl",
        "03.jpg": "owl",
    }
    assert files["reason"].dropna().to_dict() == {
        "04.jpg": "several_species",
        "05.jpg": "no_species",
    }
    assert files.loc["01.jpg", "boxes"] == ((0.1, 0.1, 0.2, 0.8),)
    assert files.loc["03.jpg", "boxes"] == ((0, 0, 0.25, 0.5), (0.5, 0.5, 0.5, 0.5))
    (line,) = collection.describe().splitlines()
    assert line == "VOC/Annotations/*.xml: Pascal VOC, 5 of 5 names fit; used for labels"


def test_names_that_repeat_in_every_cameras_folder_stay_apart(tmp_path):
    """In one camera the XML lies beside the photos; LabelImg's file names are old ones."""
    for camera, species in (("cam1", "fox"), ("cam2", "owl"), ("cam3", "deer")):
        inner = "" if camera == "cam3" else "Annotations/"
        for number in (1, 2):
            photo = f"{camera}/{number}.png" if not inner else f"{camera}/images/{number}.png"
            xml = f"{camera}/{inner}{number}.xml"
            annotated(tmp_path, photo, xml, (species, 1, 1, 9, 9), filename=f"old {number}.jpg")
    _, files = read(tmp_path)
    assert files["species"].to_dict() == {
        **{f"cam1/images/{n}.png": "fox" for n in (1, 2)},
        **{f"cam2/images/{n}.png": "owl" for n in (1, 2)},
        **{f"cam3/{n}.png": "deer" for n in (1, 2)},
    }


def test_a_photo_that_is_gone_and_a_box_without_numbers_are_said(tmp_path):
    annotated(tmp_path, "images/1.jpg", "Annotations/1.xml", ("fox", 1, 1, 9, 9))
    annotated(tmp_path, "images/2.jpg", "Annotations/2.xml", ("fox", 1, 1, 9, 9))
    (tmp_path / "images/2.jpg").unlink()
    _, files = read(tmp_path)
    assert files["reason"].dropna().to_dict() == {"2.jpg": "missing_file"}
    annotated(tmp_path, "images/3.jpg", "Annotations/3.xml", ("fox", "left", 1, 9, 9))
    with pytest.raises(
        UserError, match=r"Pascal VOC format: a box of Annotations/3.xml has .* left"
    ):
        read(tmp_path)
