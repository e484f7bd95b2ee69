"""Exports of other programs, as ingest reads them: labels, places, times and boxes."""

import json

import pandas as pd
import pytest
from listed import list_files

from pipeline.core.errors import UserError


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")


WI_HEAD = (
    "project_id,deployment_id,image_id,filename,location,is_blank,class,order,family,genus,"
    "species,common_name,timestamp,license"
)
WILDLIFE_INSIGHTS = {
    "images_2000001.csv": "\n".join(
        [
            WI_HEAD,
            "1,7.0,i1,a.JPG,gs://b/7/a.JPG,0,Mammalia,Carnivora,Canidae,Canis,lupus,Wolf,"
            "2024-05-10 10:00:00,CC-BY",
            "1,8,i2,a.JPG,gs://b/8/a.JPG,No,Mammalia,Carnivora,Canidae,Vulpes,,Fox,,",
            "1,8,i3,b.JPG,gs://b/8/b.JPG,Yes,,,,,,Blank,,",
            "1,9,i4,c.JPG,gs://b/9/c.JPG,No,Mammalia,Primates,Hominidae,Homo,sapiens,Human,,",
            "1,9,i5,d.JPG,gs://b/9/d.JPG,No,Aves,,,,,Bird,,",
            "1,9,i6,e.JPG,gs://b/9/e.JPG,No,,,,,,Misfire,,",
        ]
    ),
    "deployments.csv": "deployment_id,placename,latitude,longitude\n"
    "7,,50.00001,4\n8,,50.00002,4.0\n9,hill,50,4\n",
    "projects.csv": "project_id\n1\n",
    **dict.fromkeys(("7/a.JPG", "8/a.JPG", "8/b.JPG", "9/c.JPG", "9/d.JPG", "9/e.JPG"), "x"),
}
CAMTRAPR = {
    "record_table.csv": '"","Station","Species","DateTimeOriginal","Directory","FileName"\n'
    '"1",1,"PBE","2009-04-10 05:07:00","C:\\photos\\st1\\PBE","st1__1.JPG"\n'
    '"2",2,"TRA","2009-04-11 05:07:00","C:\\photos\\st2\\TRA","st2__1.JPG"\n',
    **dict.fromkeys(("st1/PBE/st1__1.JPG", "st2/TRA/st2__1.JPG"), "x"),
}
CHOICES = {"type": "choices", "from_name": "kind"}
LABEL_STUDIO = {
    "export.json": [
        {
            "id": i,
            "data": {"image": image},
            "annotations": [
                {"was_cancelled": True, "result": [CHOICES | {"value": {"choices": ["hare"]}}]},
                {"was_cancelled": False, "result": results},
            ],
        }
        for i, (image, results) in enumerate(
            [
                ("/data/upload/1/0a1b2c3d-a.jpg", [CHOICES | {"value": {"choices": ["fox"]}}]),
                ("/data/local-files/?d=cam2/b%20c.jpg", [CHOICES | {"value": {"choices": []}}]),
                (
                    "s3://bucket/cam2/d.jpg",
                    [
                        {
                            "type": "rectanglelabels",
                            "value": {"x": 10, "y": 20, "width": 30, "height": 40,
                                      "rectanglelabels": ["lynx"]},
                        }
                    ],
                ),
                ("/data/upload/1/00000000-e.jpg", [CHOICES | {"value": {"choices": ["a", "b"]}}]),
            ]
        )
    ],
    **dict.fromkeys(("cam1/a.jpg", "cam2/b c.jpg", "cam2/d.jpg", "cam1/00000000-e.jpg"), "x"),
}  # fmt: skip
MINIMAL = [
    {"id": 1, "image": "/data/upload/0a1b2c3d-a.jpg", "kind": "fox", "annotation_id": 1},
    {"id": 2, "image": "cam2/b.jpg", "kind": {"choices": ["lynx"]}, "annotation_id": 2},
]
CVAT_XML = """<?xml version="1.0"?><annotations><version>1.1</version><meta><task/></meta>
<image id="0" name="cam1/a.jpg" width="200" height="100"><tag label="fox" source="manual"/></image>
<image id="1" name="cam2/b.jpg" width="200" height="100">
<box label="lynx" xtl="20" ytl="10" xbr="60" ybr="40"/></image>
<image id="2" name="cam2/c.jpg" width="200" height="100"/></annotations>"""
DATUMARO = {
    "info": {},
    "categories": {"label": {"labels": [{"name": "fox"}, {"name": "lynx"}]}},
    "items": [
        {"id": "cam1/a", "annotations": [{"id": 0, "type": "label", "label_id": 0}],
         "image": {"path": "cam1/a.jpg", "size": [100, 200]}},
        {"id": "cam2/b", "image": {"size": [100, 200]},
         "annotations": [{"type": "bbox", "label_id": 1, "bbox": [20, 10, 40, 30]}]},
        {"id": "cam2/c", "annotations": []},
    ],
}  # fmt: skip
THREE = dict.fromkeys(("cam1/a.jpg", "cam2/b.jpg", "cam2/c.jpg"), "x")
YOLO = {
    "data.yaml": "train: ../train/images\nval: ../valid/images\nnames: {0: fox, 1: lynx}\n",
    "train/labels/cam1/a.txt": "0 0.5 0.5 0.2 0.4\n0 0.2 0.2 0.1 0.1\n",
    "train/labels/b.txt": "1 0.1 0.2 0.5 0.2 0.5 0.8\n",
    "train/labels/c.txt": "",
    "valid/labels/e.txt": "0 0.5 0.5 1 1\n1 0.5 0.5 1 1\n",
    **dict.fromkeys((f"train/images/{n}.jpg" for n in ("cam1/a", "b", "c", "d")), "x"),
    "valid/images/e.jpg": "x",
}
INATURALIST = {
    "observations-1.csv": "id,observed_on,time_observed_at,image_url,license,latitude,longitude,"
    "quality_grade,scientific_name\n"
    "11,2021-05-01,2021-05-01 14:03:00 UTC,https://x.org/photos/501/medium.jpg,CC-BY,50.004,4.001,"
    "research,Vulpes vulpes\n"
    "12,2021-05-02,,https://x.org/photos/502/medium.jpg,,,,casual,Lynx lynx\n"
    "13,2021-05-02,,https://x.org/photos/503/medium.jpg,,,,casual,Meles meles\n"
    "14,2021-05-02,,https://x.org/photos/504/medium.jpg,,,,casual,Sus scrofa\n",
    **dict.fromkeys(("all/11.jpg", "all/502.jpeg", "photos/503/medium.jpg"), "x"),
}
INATURALIST_BY_OBSERVATION = {
    "observations-1.csv": INATURALIST["observations-1.csv"].replace("photos/504", "photos/11"),
    **dict.fromkeys(("p/12/1.jpg", "p/12/2.jpg", "p/13/1.jpg", "photos/11/medium.jpg"), "x"),
}

CASES = {
    "Wildlife Insights": (
        WILDLIFE_INSIGHTS,
        {
            "7/a.JPG": ("Canis lupus", None, "7"),
            "8/a.JPG": ("Vulpes", None, "7"),
            "8/b.JPG": (None, "blank", "7"),
            "9/c.JPG": (None, "person_or_vehicle", "9"),
            "9/d.JPG": ("Aves", None, "9"),
        },
    ),
    "camtrapR": (
        CAMTRAPR,
        {
            "st1/PBE/st1__1.JPG": ("PBE", None, "1"),
            "st2/TRA/st2__1.JPG": ("TRA", None, "2"),
        },
    ),
    "iNaturalist": (
        INATURALIST,
        {
            "all/11.jpg": ("Vulpes vulpes", None, "50.00,4.00"),
            "all/502.jpeg": ("Lynx lynx", None, None),
            "photos/503/medium.jpg": ("Meles meles", None, None),
            "https://x.org/photos/504/medium.jpg": ("Sus scrofa", "remote", None),
        },
    ),
    "iNaturalist, a folder an observation": (
        INATURALIST_BY_OBSERVATION,
        {
            "p/12/1.jpg": ("Lynx lynx", None, None),
            "p/12/2.jpg": ("Lynx lynx", None, None),
            "p/13/1.jpg": ("Meles meles", None, None),
            "photos/11/medium.jpg": ("Sus scrofa", None, None),
        },
    ),
    "Label Studio": (
        LABEL_STUDIO,
        {
            "cam1/a.jpg": ("fox", None, None),
            "cam2/b c.jpg": (None, "no_species", None),
            "cam2/d.jpg": ("lynx", None, None),
            "cam1/00000000-e.jpg": (None, "several_species", None),
        },
    ),
    "Label Studio, JSON-MIN": (
        {"min.json": MINIMAL, "cam1/a.jpg": "x", "cam2/b.jpg": "x"},
        {"cam1/a.jpg": ("fox", None, None), "cam2/b.jpg": ("lynx", None, None)},
    ),
    "Label Studio, CSV": (
        {
            "min.csv": "image,id,kind,annotator,annotation_id\n"
            '/data/upload/0a1b2c3d-a.jpg,1,fox,1,1\ncam2/b.jpg,2,"{""choices"": [""lynx""]}",1,2\n',
            "cam1/a.jpg": "x",
            "cam2/b.jpg": "x",
        },
        {"cam1/a.jpg": ("fox", None, None), "cam2/b.jpg": ("lynx", None, None)},
    ),
    **{
        f"CVAT, {name}": (
            {name: document, **THREE},
            {
                "cam1/a.jpg": ("fox", None, None),
                "cam2/b.jpg": ("lynx", None, None),
                "cam2/c.jpg": (None, "no_species", None),
            },
        )
        for name, document in (("annotations.xml", CVAT_XML), ("default.json", DATUMARO))
    },
    "YOLO": (
        YOLO,
        {
            "train/images/cam1/a.jpg": ("fox", None, None),
            "train/images/b.jpg": ("lynx", None, None),
            "train/images/c.jpg": (None, "blank", None),
            "train/images/d.jpg": (None, "no_species", None),
            "valid/images/e.jpg": (None, "several_species", None),
        },
    ),
}


def found(folder):
    rows = list_files(folder).set_index("path")
    return rows.astype(object).where(rows.notna(), None)


@pytest.mark.parametrize("case", CASES)
def test_labels_and_places(tmp_path, case):
    files, expected = CASES[case]
    put(tmp_path, files)
    rows = found(tmp_path)
    columns = rows.loc[list(expected), ["species", "reason", "location"]]
    shown = {path: (s if reason in (None, "remote") else None, reason, location)
             for path, s, reason, location in columns.itertuples(name=None)}  # fmt: skip
    assert shown == expected
    assert {
        path for path in rows.index if path.endswith((".csv", ".json", ".txt", ".xml"))
    } == set()


@pytest.mark.parametrize(
    ("case", "boxes"),
    [
        ("Label Studio", {"cam2/d.jpg": ((0.1, 0.2, 0.3, 0.4),)}),
        ("CVAT, annotations.xml", {"cam2/b.jpg": ((0.1, 0.1, 0.2, 0.3),)}),
        ("CVAT, default.json", {"cam2/b.jpg": ((0.1, 0.1, 0.2, 0.3),)}),
        (
            "YOLO",
            {
                "train/images/cam1/a.jpg": ((0.4, 0.3, 0.2, 0.4), (0.15, 0.15, 0.1, 0.1)),
                "train/images/b.jpg": ((0.1, 0.2, 0.4, 0.6),),
                "valid/images/e.jpg": ((0.0, 0.0, 1.0, 1.0),),
            },
        ),
    ],
)
def test_boxes(tmp_path, case, boxes):
    put(tmp_path, CASES[case][0])
    assert found(tmp_path)["boxes"].dropna().to_dict() == boxes


def test_times_groups_licences_and_splits(tmp_path):
    for case in ("Wildlife Insights", "camtrapR", "iNaturalist", "YOLO"):
        put(tmp_path / case, CASES[case][0])
    assert found(tmp_path / "Wildlife Insights")["taken_at"]["7/a.JPG"] == "2024-05-10T10:00:00"
    assert found(tmp_path / "Wildlife Insights")["licence"]["7/a.JPG"] == "CC-BY"
    assert found(tmp_path / "camtrapR")["taken_at"]["st1/PBE/st1__1.JPG"] == "2009-04-10T05:07:00"
    rows = found(tmp_path / "iNaturalist")
    assert rows.loc["all/11.jpg", ["group", "taken_at"]].tolist() == ["11", "2021-05-01T14:03:00"]
    assert rows["taken_at"]["all/502.jpeg"] == "2021-05-02T00:00:00"
    hints = found(tmp_path / "YOLO")["split_hint"]
    assert hints.to_dict() == {
        path: path.split("/")[0].replace("valid", "validation") for path in hints.index
    }


@pytest.mark.parametrize("line", ["2 0.5 0.5 0.1 0.1", "fox 0.5 0.5 0.1 0.1", "0"])
def test_a_text_that_is_not_of_yolos_form_is_named_with_its_line(tmp_path, line):
    put(tmp_path, YOLO | {"train/labels/b.txt": f"0 0.5 0.5 0.2 0.4\n\n{line}\n"})
    with pytest.raises(UserError, match=r"b\.txt, line 3: .* is not an object in YOLO's format"):
        found(tmp_path)


def test_a_broken_document_is_named(tmp_path):
    put(tmp_path, {"annotations.xml": CVAT_XML[:-20], "cat/a.jpg": "x", "dog/b.jpg": "x"})
    with pytest.raises(UserError, match=r"annotations\.xml is not valid XML \(line 5\)"):
        found(tmp_path)


def test_speciesnet_gives_boxes_and_no_labels(tmp_path):
    detections = [
        {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]},
        {"category": "1", "label": "animal", "conf": 0.1, "bbox": [0, 0, 1, 1]},
        {"category": "2", "label": "human", "conf": 0.9, "bbox": [0, 0, 1, 1]},
    ]
    guess = "uuid;mammalia;carnivora;felidae;lynx;lynx;eurasian lynx"
    predictions = [
        {"filepath": "/data/cat/a.jpg", "detections": detections, "prediction": guess},
        {"filepath": "/data/dog/b.jpg", "failures": ["DETECTOR"]},
    ]
    put(tmp_path, {"p.json": {"predictions": predictions}, "cat/a.jpg": "x", "dog/b.jpg": "x"})
    rows = found(tmp_path)
    assert rows["species"].to_dict() == {"cat/a.jpg": "cat", "dog/b.jpg": "dog"}
    assert rows["boxes"].dropna().to_dict() == {"cat/a.jpg": ((0.1, 0.2, 0.3, 0.4),)}


def test_ids_join_whatever_type_they_were_written_as():
    from pipeline.sources import ids

    several = pd.Series([1, "1", " 1.0 ", 1.0, "01", "1.5", None], dtype=object)
    plain = ids.plain(several)
    assert plain[:6].tolist() == ["1", "1", "1", "1", "01", "1.5"]
    assert pd.isna(plain[6])
