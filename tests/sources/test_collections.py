# ruff: noqa: E501
"""What people bring, read by the ingest stage as `dvc repro` runs it, in one table of cases."""

import gzip
import io
import json
import runpy
import unicodedata
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import staged
from PIL import Image

from pipeline.core.errors import UserError

PROJECT = Path(__file__).parents[2]
CAMS = ("cam1", "cam2")
NUMBERS = range(1, 5)


@cache
def jpeg(seed: int) -> bytes:
    """Random coarse blobs, another picture for each seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((48, 40)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@dataclass
class Case:
    """Photos, the files beside them, params, and what must come of it.

    Attributes:
        photos: Their paths.
        files: Bytes or text of other files, by path.
        params: Lines of `ingest`, by name.
        expected: Species of each accepted photo, reason of each other file.
        column: A column of the manifest, and its value by path.
        stop: Texts that the error must hold, where the run must stop.
        source: The file in the collection that is named as the source.
        printed: Texts that the run must print.
    """

    photos: list[str]
    files: dict[str, str | bytes] = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    column: tuple[str, dict[str, str]] | None = None
    stop: tuple[str, ...] = ()
    source: str = ""
    printed: tuple[str, ...] = ()


def lines(*rows: list) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def grid(*folders: str) -> list[str]:
    """The same four names in each folder."""
    return [f"{folder}/IMG_{i}.JPG" for folder in folders for i in NUMBERS]


def halves(paths: list[str]) -> dict[str, str]:
    """The odd ones show foxes, the even ones deer."""
    return {path: ("deer", "fox")[int(Path(path).stem.rpartition("_")[2]) % 2] for path in paths}


def book(merged: tuple[str, ...] = (), **sheets: list[list]) -> bytes:
    """A spreadsheet; `merged` are cells of its first sheet."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    for cells in merged:
        made.worksheets[0].merge_cells(cells)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def unique(*folders: str, each: int = 4) -> list[str]:
    """Names that occur once, `each` in every folder."""
    return [
        f"{f}/IMG_{k * each + i}.JPG" for k, f in enumerate(folders) for i in range(1, each + 1)
    ]


TREE = grid("st1/fox", "st1/deer", "st2/fox", "st2/deer")
BY_SPECIES = {path: path.split("/")[1] for path in TREE}
BY_STATION = {path: path.split("/")[0] for path in TREE}
REPEATED = grid(*CAMS)
TRUTH = {path: "fox" if path.startswith("cam1") else "deer" for path in REPEATED}
APART = [[*path.split("/"), name] for path, name in TRUTH.items()]
BARE = unique("cam1", "a/cam2", "a/b/cam3")
BARE_ROWS = [[Path(path).name, name] for path, name in halves(BARE).items()]
FLAT = [f"p/IMG_{i}.JPG" for i in range(1, 9)]
FLAT_ROWS = [[path, name] for path, name in halves(FLAT).items()]
TABLE = lines(["file", "species"], *FLAT_ROWS)
SOORT = lines(["Bestand", "Soort"], *FLAT_ROWS)
STATIONS = [f"{folder}/IMG_{i}.JPG" for folder in ("Nord", "Sued") for i in NUMBERS]
DEEP = grid("Nord/DCIM", "Sued/DCIM")
XMP = (
    '<x:xmpmeta><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>'
    "<rdf:li>{}</rdf:li></rdf:Bag></dc:subject></rdf:Description></x:xmpmeta>"
)
UNLIKE = (
    "Nord/2024-05-31/fox",
    "Nord/2024-06-01/deer",
    "Sued/2024-05-31/lynx",
    "Sued/2024-06-01/badger",
)
TABLE_OF_STATIONS = lines(["file", "species"], *halves(STATIONS).items())
LEGEND = [["Code", "Meaning"], ["fox", "Vulpes vulpes"]]
# A title over merged cells, and date and time of day apart, as texts and as spreadsheets have them.
SIGHTINGS = {
    place: [
        ["Survey of the forest", None, None, None, None],
        [],
        ["Station", "File", "Date", "Time", "Species"],
        *[
            [place, f"IMG_{i}.JPG", day, hour, ("deer", "fox")[i % 2]]
            for i in NUMBERS
            for day, hour in [
                (f"1{2 + i}/05/2024", f"06:0{i}")
                if i % 2
                else (datetime(2024, 5, 12 + i), time(6, i))
            ]
        ],
    ]
    for place in ("Nord", "Sued")
}
ALL_SIGHTINGS = [*SIGHTINGS["Nord"], *SIGHTINGS["Sued"][3:]]
DEEP_TRUTH = {path: ("Füchse", "Reh")[path.startswith("Sued")] for path in DEEP}
GERMAN = "Wildkameras;;;\r\n\r\nStandort;Datei;Tierart;Anzahl\r\n" + "".join(
    f"{path.split('/')[0]};{Path(path).name};{name};1\r\n" for path, name in DEEP_TRUTH.items()
)
OTHERWISE = lines(["file", "species"], *[[path, "owl"] for path in STATIONS[:2]])


def labelled(names: list[str]) -> tuple[list[str], str]:
    """Three photos a label, and a table of them."""
    photos = [f"p/{k}_{i}.JPG" for k in range(len(names)) for i in range(3)]
    rows = [[path, f'"{names[i // 3]}"'] for i, path in enumerate(photos)]
    return photos, lines(["file", "species"], *rows)


def of_labels(names: list[str], outcome: list[str], params: dict | None = None) -> Case:
    photos, table = labelled(names)
    expected = {path: outcome[i // 3] for i, path in enumerate(photos)}
    return Case(photos, {"labels.csv": table}, params or {}, expected)


def in_folders(names: list[str], outcome: list[str]) -> Case:
    photos = [f"{name}/{k}_{i}.JPG" for k, name in enumerate(names) for i in range(3)]
    return Case(photos, expected={path: outcome[i // 3] for i, path in enumerate(photos)})


def coco(photos: list[str], names: list[str]) -> str:
    kinds = sorted(set(names))
    return json.dumps(
        {
            "images": [{"id": i, "file_name": path} for i, path in enumerate(photos)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": kinds.index(n)} for i, n in enumerate(names)
            ],
            "categories": [{"id": i, "name": name} for i, name in enumerate(kinds)],
        }
    )


def zipped(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, text)
    return buffer.getvalue()


NOBODY = {
    **{"Blank": "blank", "empty": "blank", "False trigger": "blank"},
    **{"Human-Camera Trapper": "person_or_vehicle", "Homo sapiens": "person_or_vehicle"},
    **{"people": "person_or_vehicle", "Vehicle": "person_or_vehicle"},
    **{"misfire": "camera_handling", "setup_pickup": "camera_handling"},
    **{"problem": "camera_handling", "unknown": "not_identified", "NA": "not_identified"},
    **{"No CV Result": "not_identified", "Unidentifiable": "not_identified"},
    **{"fox": "fox", "deer": "deer"},
}
RANKS = lines(
    ["file", "class", "order", "family", "scientificName"],
    *[
        [p, "Mammalia", ("Artiodactyla", "Carnivora")[s == "fox"], "x", ("Cervus elaphus", "Vulpes vulpes")[s == "fox"]]
        for p, s in halves(FLAT).items()
    ],
)  # fmt: skip
BINOMIAL = lines(
    ["file", "genus", "species", "common_name"],
    *[[p, *(("Sus", "scrofa"), ("Zodia", "scrofa"))[s == "fox"], "x"] for p, s in halves(FLAT).items()],
)  # fmt: skip
ZERO_ONE = lines(
    ["file", "bear", "deer"], *[[p, int(s == "fox"), int(s == "deer")] for p, s in halves(FLAT).items()]
)  # fmt: skip
BEARS = {p: {"fox": "bear", "deer": "deer"}[s] for p, s in halves(FLAT).items()}
RARE = [*(f"fox/{i}.jpg" for i in range(4)), *(f"deer/{i}.jpg" for i in range(3)), "owl/1.jpg"]
RARE += ["lynx/1.jpg", "lynx/2.jpg"]

CASES = {
    # which file a row names
    "directory and name apart": Case(
        REPEATED,
        {"records.csv": lines(["Station", "Species", "Directory", "FileName"],
                              *[[c, s, c, f] for c, f, s in APART])},
        expected=TRUTH, column=("location", {p: p.split("/")[0] for p in REPEATED}),
    ),
    "deployment and name apart": Case(
        REPEATED, {"observations.csv": lines(["deployment_id", "filename", "species"], *APART)},
        expected=TRUTH,
    ),
    "half of each camera": Case(
        REPEATED,
        {"metadata.csv": lines(["Directory", "FileName", "Species"], *APART[:3], *APART[-3:])},
        expected={**TRUTH, REPEATED[3]: "not_in_metadata", REPEATED[4]: "not_in_metadata"},
    ),
    "a camera whose folder is not there": Case(
        REPEATED,
        {"metadata.csv": lines(["Directory", "FileName", "Species"], *APART,
                               ["cam3", "IMG_1.JPG", "owl"])},
        expected={**TRUTH, "cam3/IMG_1.JPG": "missing_file"},
    ),
    "a deployment whose folder is not there, of names that occur once": Case(
        unique(*CAMS),
        {"metadata.csv": lines(["deployment", "file", "species"],
                               *[[*p.split("/"), s] for p, s in halves(unique(*CAMS)).items()],
                               ["cam3", "IMG_9.JPG", "owl"], ["cam3", "IMG_1.JPG", "owl"])},
        expected={**halves(unique(*CAMS)), "cam3/IMG_9.JPG": "missing_file",
                  "cam3/IMG_1.JPG": "missing_file"},
    ),
    "absolute Windows folders": Case(
        REPEATED,
        {"records.csv": lines(["Directory", "FileName", "Species"],
                              *[[f"D:\\Photos\\{c.upper()}", f.lower(), s] for c, f, s in APART])},
        expected=TRUTH,
    ),
    "bare names in any folder": Case(
        BARE, {"metadata.csv": lines(["file_name", "species"], *BARE_ROWS)}, expected=halves(BARE)
    ),
    "bare names without an ending, decomposed, beside cameras": Case(
        [unicodedata.normalize("NFC", f"Käuze/{p}") for p in BARE],
        {"list.csv": lines(["File", "Species", "camera"],
                           *[[f.removesuffix(".JPG"), s, "Bushnell"] for f, s in BARE_ROWS])},
        expected={f"Käuze/{p}": s for p, s in halves(BARE).items()},
    ),
    "a bare name that two folders have": Case(
        [*BARE, "a/cam2/IMG_1.JPG"],
        {"metadata.csv": lines(["file_name", "species"], *BARE_ROWS)},
        expected={**halves(BARE), "IMG_1.JPG": "ambiguous_file", BARE[0]: "not_in_metadata",
                  "a/cam2/IMG_1.JPG": "not_in_metadata"},
    ),
    "two cameras' rows for the same loose file": Case(
        [f"IMG_{i}.JPG" for i in range(1, 9)],
        {"metadata.csv": lines(["RelativePath", "File", "Species"],
                               *[["c1", f"IMG_{i}.JPG", "fox"] for i in range(1, 5)],
                               *[["c2", f"IMG_{i}.JPG", "deer"] for i in range(5, 9)])},
        stop=("names no photo that is here", "ingest.columns: {file: File, species: Species}"),
    ),
    "two cameras' rows for the same loose file, and it is all one": Case(
        [f"IMG_{i}.JPG" for i in range(1, 9)],
        {"metadata.csv": lines(["RelativePath", "File", "Species"],
                               *[["c1", f"IMG_{i}.JPG", "fox"] for i in range(1, 5)],
                               *[["c2", f"IMG_{i}.JPG", "deer"] for i in range(5, 9)])},
        {"columns": {"file": "File"}},
        {f"IMG_{i}.JPG": ("fox", "deer")[i > 4] for i in range(1, 9)},
    ),
    "a table in every camera's folder": Case(
        REPEATED,
        {f"{c}/list.csv": lines(["file", "species"], *[[f, s] for d, f, s in APART if d == c])
         for c in CAMS},
        expected={**TRUTH},
    ),
    "a table that is called as the folder is": Case(
        REPEATED,
        {f"{c}.csv": lines(["file", "species"], *[[f, s] for d, f, s in APART if d == c])
         for c in CAMS},
        expected=TRUTH,
    ),
    "a station's column in another language, above the cards' folders": Case(
        DEEP, {"Auswertung.csv": GERMAN},
        {"columns": {"file": "Datei", "folder": "Standort", "species": "Tierart"}}, DEEP_TRUTH,
    ),
    "the same, not named": Case(
        DEEP, {"Auswertung.csv": GERMAN}, {"columns": {"file": "Datei"}},
        stop=("IMG_1.JPG may be Nord/DCIM/IMG_1.JPG, Sued/DCIM/IMG_1.JPG",
              "ingest.columns: {file: Datei, folder: Standort, species: Tierart}"),
    ),
    "folders that were renamed": Case(
        STATIONS, {"labels.csv": lines(["file", "species"], *[[f"old {p}", "owl"] for p in STATIONS])},
        stop=("old Nord/IMG_1.JPG of the same name: Nord/IMG_1.JPG, Sued/IMG_1.JPG",),
    ),
    "labels in a file for each photo": Case(
        STATIONS, {f"{p}.json": json.dumps({"species": "owl"}) for p in STATIONS},
        stop=("may label it (species), as may 7 others", "metadata.csv"),
    ),
    # folders
    "station/species": Case(TREE, stop=("folder:1   # 2 species: st1, st2",
                                        "folder:2   # 2 species: deer, fox")),
    "station/species, by the second level": Case(
        TREE, params={"species_from": "folder:2"}, expected=BY_SPECIES,
        column=("location", BY_STATION),
    ),
    "station/species, by the folder of the photo": Case(
        TREE, params={"species_from": "folder:-1"}, expected=BY_SPECIES,
        column=("location", BY_STATION),
    ),
    "species/station, by the first level": Case(
        grid("fox/st1", "fox/st2", "deer/st2", "deer/st3"), params={"species_from": "folder:1"},
        expected={p: p.split("/")[0] for p in grid("fox/st1", "fox/st2", "deer/st2", "deer/st3")},
        column=("location", {"fox/st1/IMG_1.JPG": "st1", "deer/st3/IMG_1.JPG": "st3"}),
    ),
    "species/station": Case(grid("fox/A", "fox/B", "deer/B", "deer/C"), stop=("folder:1", "A, B, C")),
    "region/station/species": Case(
        grid("north/s1/fox", "north/s2/deer", "south/s3/fox"), stop=("folder:3   # 2 species: deer, fox",),
    ),
    "species/year": Case(
        grid("fox/2020", "fox/2021", "deer/2020", "deer/May"),
        expected={p: p.split("/")[0] for p in grid("fox/2020", "fox/2021", "deer/2020", "deer/May")},
    ),
    "cameras alone": Case(REPEATED, stop=("called as cameras", "folder:1   # 2 species: cam1, cam2")),
    "thumbnails of a NAS": Case(
        [*grid("fox", "deer"), "fox/@eaDir/IMG_1.JPG/SYNO_THUMB.jpg", "#recycle/fox/IMG_9.JPG",
         "lost+found/a.jpg", "deer/.thumbnails/1.jpg", "__MACOSX/fox/IMG_1.JPG",
         "System Volume Information/x.jpg"],
        expected={p: p.split("/")[0] for p in grid("fox", "deer")},
        printed=("ignored: @eaDir (1 files)", "ignored: #recycle (1 files)", "ignored: lost+found"),
    ),
    # columns
    "a species column of one's own": Case(
        FLAT, {"TimelapseData.csv": SOORT},
        stop=("TimelapseData.csv", "Bestand, Soort", "ingest.columns: {file: Bestand, species: Soort}"),
    ),
    "a species column of one's own, named as the source": Case(
        STATIONS, {"x.csv": lines(["File", "Soort"], *[[p, "vos"] for p in STATIONS])},
        source="x.csv", stop=("no column has a usual name of species; it has File, Soort",),
    ),
    "a species column of one's own, named": Case(
        FLAT, {"TimelapseData.csv": SOORT},
        {"columns": {"species": "Soort", "file": "bestand"}}, halves(FLAT),
    ),
    "a column that no table has": Case(
        FLAT, {"labels.csv": TABLE}, {"columns": {"species": "Sort"}},
        stop=("species is Sort, but no table has", "labels.csv (table: file, species)"),
    ),
    "a table beside folders, and the folders chosen": Case(
        STATIONS, {"x.csv": lines(["File", "Soort"], *[[p, "vos"] for p in STATIONS])},
        {"species_from": "folder:1"}, {p: p.split("/")[0] for p in STATIONS},
    ),
    "labels from metadata alone": Case(STATIONS, params={"species_from": "metadata"},
                                       stop=("no file here labels the photos",)),
    "columns of 0 and 1": Case(FLAT, {"labels.csv": ZERO_ONE}, expected=BEARS),
    "columns of 0 and 1, named": Case(
        FLAT, {"labels.csv": ZERO_ONE}, {"columns": {"species": ["bear", "deer"]}}, BEARS
    ),
    "ranks as columns": Case(
        FLAT, {"records.csv": RANKS},
        expected={p: ("Cervus elaphus", "Vulpes vulpes")[s == "fox"] for p, s in halves(FLAT).items()},
        column=("order", {p: ("Artiodactyla", "Carnivora")[s == "fox"] for p, s in halves(FLAT).items()}),
    ),
    "genus and species apart": Case(
        FLAT, {"records.csv": BINOMIAL},
        expected={p: ("Sus scrofa", "Zodia scrofa")[s == "fox"] for p, s in halves(FLAT).items()},
        column=("genus", {p: ("Sus", "Zodia")[s == "fox"] for p, s in halves(FLAT).items()}),
    ),
    # cells and labels
    "lists in cells": of_labels(
        ["['fox']", "fox;deer", "fox|deer", "fox, deer", "fox", "Owl, tawny", "[]"],
        ["fox", *["several_species"] * 3, "fox", "Owl, tawny", "no_species"],
    ),
    "lists in JSON lines": Case(
        FLAT[:6],
        {"metadata.jsonl": "".join(json.dumps({"file_name": p, "label": label}) + "\n" for p, label in
                                   zip(FLAT, ["fox", ["fox"], ["fox", "deer"], ["fox"], "deer", "deer"],
                                       strict=False))},
        {"min_per_species": 3},
        {FLAT[0]: "fox", FLAT[1]: "fox", FLAT[2]: "several_species", FLAT[3]: "fox",
         FLAT[4]: "deer", FLAT[5]: "deer"},
        stop=("too few good photos of deer (2)",),
    ),
    "labels of no animal in a table": of_labels(list(NOBODY), list(NOBODY.values())),
    "labels of no animal in folders": in_folders(list(NOBODY), list(NOBODY.values())),
    "labels of no animal in COCO": Case(
        labelled(list(NOBODY))[0],
        {"coco.json": coco(labelled(list(NOBODY))[0], [n for n in NOBODY for _ in range(3)])},
        expected=dict(zip(labelled(list(NOBODY))[0], [r for r in NOBODY.values() for _ in range(3)],
                          strict=True)),
        printed=("left out as camera_handling: misfire (3 files); keep with "
                 "ingest.labels: {misfire: misfire}",),
    ),
    "blank photos that nobody wants": of_labels(
        ["Blank", "fox", "deer"], ["unwanted", "fox", "deer"], {"labels": {"Blank": None}}
    ),
    "labels of no animal that are wanted": of_labels(
        ["Blank", "fox", "unknown"], ["blank", "fox", "unwanted"],
        {"labels": {"Blank": "empty", "unknown": None}},
    ),
    **{
        f"names that differ in {why} alone": Case(*labelled([one, "red fox", "deer"])[:1],
                                                  {"labels.csv": labelled([one, "red fox", "deer"])[1]},
                                                  stop=(f"ingest.labels: {{{line}}}",))
        for why, one, line in [
            ("case", "Red fox", "Red fox: red fox"),
            ("blanks", "red  fox", "red  fox: red fox"),
            ("no-break spaces", "red\u00a0fox", 'red fox: "red\\u00a0fox"'),
            ("underscores", "red_fox", "red fox: red_fox"),
        ]
    },
    # how spreadsheets write tables
    **{
        f"a table {how}": Case(FLAT, {"labels.csv": data}, expected=halves(FLAT))
        for how, data in {
            "with a BOM": TABLE.encode("utf-8-sig"),
            "in UTF-16": TABLE.replace(",", "\t").encode("utf-16"),
            "in UTF-16 without a mark": TABLE.replace(",", ";").encode("utf-16-le"),
            "that names its separator": "sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n"),
            "with tabs": TABLE.replace(",", "\t"),
            "with a title": "Camera survey 2024\n\n" + TABLE,
            "with a padded title": "Survey, spring,\n".replace(", ", " ") + TABLE,
            "with comments": "# exported by x, 2024\n# all stations\n" + TABLE,
            "with empty lines and cells": "\n" + TABLE.replace("\n", ",,\n") + ",,\n,,\n",
            "with decimal commas": "file;species;depth\n"
            + "".join(f"{p};{s};1,5\n" for p, s in FLAT_ROWS),
        }.items()
    },
    "Latin-1": Case(
        FLAT, {"labels.csv": TABLE.replace("fox", "Füchslein").replace(",", ";").encode("latin-1")},
        expected={p: s.replace("fox", "Füchslein") for p, s in halves(FLAT).items()},
    ),
    "boxes with decimal commas": Case(
        FLAT,
        {"labels.csv": "file;species;bboxX;bboxY;bboxWidth;bboxHeight\n"
         + "".join(f"{p};{s};0,25;0,5;0,5;0,25\n" for p, s in FLAT_ROWS)},
        expected=halves(FLAT), column=("box", dict.fromkeys(FLAT, "[[0.25, 0.5, 0.5, 0.25]]")),
    ),
    "a row with too many cells": Case(
        FLAT, {"labels.csv": TABLE + f"{FLAT[0]},red,fox\n"},
        stop=("labels.csv cannot be read as a table: row 10 has 3 cells, the header 2",),
    ),
    "a spreadsheet of an old kind": Case(
        STATIONS, {"labels.xls": b"\xd0\xcf\x11\xe0"}, stop=("labels.xls", "save it as CSV")
    ),
    # what lies deeper, or is not understood
    "COCO two folders deep": Case(
        FLAT, {"meta/v1/instances.json": coco(FLAT, [s for _, s in FLAT_ROWS])}, expected=halves(FLAT)
    ),
    "COCO in a zip": Case(
        FLAT, {"meta/set.json.zip": zipped("set.json", coco(FLAT, [s for _, s in FLAT_ROWS]))},
        expected=halves(FLAT), printed=("meta/set.json.zip: COCO Camera Traps, 8 of 8 names fit",),
    ),
    "COCO packed": Case(
        FLAT, {"set.json.gz": gzip.compress(coco(FLAT, [s for _, s in FLAT_ROWS]).encode())},
        expected=halves(FLAT),
    ),
    "JSON of records": Case(
        FLAT, {"records.json": json.dumps([{"file": p, "species": s} for p, s in FLAT_ROWS])},
        expected=halves(FLAT),
    ),
    "JSON of no known form": Case(
        STATIONS, {"notes/labels.json": json.dumps({p: ["owl"] for p in STATIONS})},
        stop=("notes/labels.json is JSON of no known form", "names of 8 photos", "folder:1"),
    ),
    "broken JSON that could be the labels": Case(STATIONS, {"a/x.json": "{"}, stop=("x.json",)),
    "sidecars and lists of other things": Case(
        STATIONS,
        {"Nord/IMG_1.JPG.json": "{", "stations.csv": "station,lat\nNord,1\nSued,2\n",
         "few.csv": lines(["file", "species"], [STATIONS[0], "Nord"])},
        expected={p: p.split("/")[0] for p in STATIONS}
        | dict.fromkeys(["Nord/IMG_1.JPG.json", "stations.csv", "few.csv"], "-"),
        printed=("stations.csv: table", "few.csv: table, 1 of 1 names fit; not used",
                 "Nord/IMG_1.JPG.json: sidecar of one photo"),
    ),
    "a table of a few photos that says otherwise": Case(
        STATIONS, {"x.csv": OTHERWISE},
        stop=("x.csv names 2 of 8 photos, and calls Nord/IMG_1.JPG owl, where its folder says nord",),
    ),
    "two tables that differ": Case(
        FLAT, {"a.csv": TABLE, "b.csv": TABLE.replace("fox", "owl")},
        stop=("a.csv and b.csv name the same 8 photos, and 4 of them",),
    ),
    # what may label the photos beside folders that do not
    "sheets of one kind behind a legend": Case(
        STATIONS, {"r.xlsx": book(legend=LEGEND, **{place: SIGHTINGS[place] for place in SIGHTINGS})},
        expected=halves(STATIONS),
        column=("taken_at", {STATIONS[0]: "2024-05-13T06:01:00", STATIONS[-1]: "2024-05-16T06:04:00"}),
        printed=("r.xlsx: table (sheet legend), 0 of 0 names fit; not used",
                 "r.xlsx: table (sheet Nord, Sued), 8 of 8 names fit"),
    ),
    "a cell that spans rows": Case(
        REPEATED, {"r.xlsx": book(merged=("A2:A5", "A6:A9"), all=[
            ["Station", "File", "Species"],
            *[[c if n == "IMG_1.JPG" else None, n, s] for c, n, s in APART]])},
        expected=TRUTH,
    ),
    "a sheet that is no table": Case(
        STATIONS, {"r.xlsx": book(sums=[["a"], ["a"], ["a"], [1, 2, 3]], Nord=ALL_SIGHTINGS)},
        expected=halves(STATIONS), printed=("r.xlsx: unreadable table (sheet sums); not used",),
    ),
    "a table saved as text": Case(
        STATIONS, {"r.txt": TABLE_OF_STATIONS.replace(",", "\t")},
        expected=halves(STATIONS),
    ),
    "columns of one's own, and names that repeat in every folder": Case(
        REPEATED, {"r.csv": lines(["Armadilha", "Ficheiro", "Especie"], *[[c, n, s] for c, n, s in APART])},
        stop=("ingest.columns: {file: Ficheiro, folder: Armadilha, species: Especie}",),
    ),
    "a list of photos and species without a header": Case(
        STATIONS, {"r.txt": TABLE_OF_STATIONS.replace(",", " ").partition("\n")[2]},
        stop=("r.txt names photos from its first line on", "file,species", "folder:1"),
    ),
    "a table without a header": Case(
        FLAT, {"labels.csv": TABLE.partition("\n")[2]}, stop=("labels.csv names photos from its first",),
    ),
    "a list of photos and nothing else": Case(
        STATIONS, {"train.txt": "".join(f"{i} {p}\n" for i, p in enumerate(STATIONS))},
        expected={p: p.split("/")[0] for p in STATIONS} | {"train.txt": "-"},
        printed=("train.txt: list without a header; not used: lists photos and nothing else",),
    ),
    "a list of photos for each species": Case(
        STATIONS, {f"{name}.csv": lines(["file"], *[[p] for p, s in halves(STATIONS).items() if s == name])
                   for name in ("fox", "deer")},
        stop=("deer.csv and fox.csv list different photos and no species", "folder:1"),
    ),
    "sightings by station and time": Case(
        STATIONS, {"r.csv": lines(["Station", "DateTime", "Species"], *[["Nord", "2024-05-31", s]
                                                                       for s in ("fox", "deer") * 2])},
        stop=("r.csv names no photo that is here", "Station, DateTime, Species", 'file: "..."', "folder:1"),
    ),
    "sightings of the species that folders are called": Case(
        grid("fox", "deer"), {"r.csv": lines(["Station", "Species"], *[["Nord", s] for s in ("fox", "deer") * 2])},
        expected={p: p.split("/")[0] for p in grid("fox", "deer")} | {"r.csv": "-"},
    ),
    "a list of species": Case(
        STATIONS, {"r.csv": lines(["species", "status"], ["fox", "LC"], ["deer", "LC"])},
        expected={p: p.split("/")[0] for p in STATIONS} | {"r.csv": "-"},
    ),
    "a database": Case(
        STATIONS, {"TimelapseData.ddb": b"SQLite format 3\0"},
        stop=("TimelapseData.ddb is a database", "as CSV", "folder:1   # 2 species: Nord, Sued"),
    ),
    "GeoJSON": Case(
        STATIONS, {"r.geojson": json.dumps({"features": [{"photo": p, "what": "fox"} for p in STATIONS]})},
        stop=("r.geojson is GEOJSON of no known form, and holds the names of 8 photos", "metadata.csv"),
    ),
    "JSON of no known form without folders": Case(
        [Path(p).name for p in FLAT], {"r.json": json.dumps({"of": {Path(p).name: "fox" for p in FLAT}})},
        stop=("r.json is JSON of no known form", "write them into a table, metadata.csv"),
    ),
    **{
        f"sidecars with {name}": Case(
            STATIONS, {f"{p}.json": json.dumps(content) for p in STATIONS},
            stop=("describes one photo, and may label it", "7 others", "folder:1"),
        )
        for name, content in {
            "a species deep in them": {"camera": "x", "annotation": {"species": "fox"}},
            "keywords": {"camera": "x", "tags": ["fox"]},
            "a taxon": {"taxon": {"id": 3, "name": "Vulpes vulpes"}},
        }.items()
    },
    "sidecars with keywords of Lightroom": Case(
        STATIONS, {f"{p}.xmp": XMP.format("fox") for p in STATIONS} | {"Nord/IMG_2.JPG.xmp": "no XMP"},
        stop=("Nord/IMG_1.JPG.xmp describes one photo, and may label it (fox), as may 7", "folder:1"),
    ),
    "sidecars with keywords, and folders that are called so": Case(
        grid("fox", "deer"),
        {p[:-4] + ".xmp": XMP.format(f"Animals|{p.split('/')[0].title()}") for p in grid("fox", "deer")},
        expected={p: p.split("/")[0] for p in grid("fox", "deer")}
        | {p[:-4] + ".xmp": "-" for p in grid("fox", "deer")},
    ),
    "sidecars of a camera": Case(
        STATIONS, {f"{p}.json": json.dumps({"camera": "x", "tags": [], "title": p}) for p in STATIONS},
        expected={p: p.split("/")[0] for p in STATIONS} | {f"{p}.json": "-" for p in STATIONS},
    ),
    "station/date/species, none of them twice": Case(
        grid(*UNLIKE), stop=("several named folders below each", "folder:1   # 2 species: Nord, Sued",
                             "folder:3   # 4 species: badger, deer, fox, lynx"),
    ),
    "station/date/species, by the level": Case(
        grid(*UNLIKE), params={"species_from": "folder:3"},
        expected={p: p.split("/")[2] for p in grid(*UNLIKE)},
    ),
    "species/numbered": Case(
        grid("fox/T 1", "fox/T 2", "deer/seq_03", "deer/seq_04"),
        expected={p: p.split("/")[0] for p in grid("fox/T 1", "fox/T 2", "deer/seq_03", "deer/seq_04")},
    ),
    "archives among the photos": Case(
        STATIONS, {"more.zip": zipped("a.jpg", "x"), "old.7z": b"7z"},
        expected={p: p.split("/")[0] for p in STATIONS} | dict.fromkeys(["more.zip", "old.7z"], "-"),
        printed=("more.zip: archive; not used: archives in a collection are not read: unpack it",),
    ),
    "times that cannot be read": Case(
        FLAT, {"labels.csv": lines(["file", "species", "date"], *[[*r, "05/06/2024"] for r in FLAT_ROWS])},
        expected=halves(FLAT), printed=("8 times in the metadata cannot be read, such as 05/06/2024",),
    ),
    # the long tail
    "rare species stop": Case(RARE, stop=("lynx (2), owl (1)", "ingest.rare: drop or pool")),
    "rare species dropped": Case(
        RARE, params={"rare": "drop"},
        expected={p: "rare" if p[0] in "lo" else p.split("/")[0] for p in RARE},
    ),
    "rare species pooled": Case(
        RARE, params={"rare": "pool"},
        expected={p: "other" if p[0] in "lo" else p.split("/")[0] for p in RARE},
    ),
}  # fmt: skip


@pytest.fixture
def ingest(tmp_path, monkeypatch):
    """Runs the stage in a project of its own, with a collection and lines of `ingest`."""

    def run(case: Case) -> None:
        collection = tmp_path / "collection"
        for seed, path in enumerate(case.photos):
            (collection / path).parent.mkdir(parents=True, exist_ok=True)
            (collection / path).write_bytes(jpeg(seed))
        for path, content in case.files.items():
            (collection / path).parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, bytes) else content.encode()
            (collection / path).write_bytes(data)
        project = tmp_path / "project"
        project.mkdir()
        source = collection / case.source if case.source else collection
        params = {"source": str(source), "min_per_species": 3, "near_duplicate_bits": 0}
        params = {f"ingest.{key}": value for key, value in (params | case.params).items()}
        staged.write_params(project, params | {"parallel.jobs": 1})
        monkeypatch.chdir(project)
        runpy.run_path(str(PROJECT / "stages" / "ingest.py"))["main"]()

    return run


def outcome() -> dict[str, str]:
    """Species of each accepted photo, reason of each other file."""
    refused = pd.read_csv("reports/ingest/quarantine.csv", keep_default_na=False)
    manifest = Path("data/ingested/manifest.parquet")
    taken = pd.read_parquet(manifest) if manifest.exists() else refused.iloc[:0]
    return dict(zip(taken["path"], taken["species"], strict=True)) | dict(
        zip(refused["path"], refused["reason"], strict=True)
    )


@pytest.mark.parametrize("name", list(CASES))
def test_what_people_bring(name, ingest, capsys):
    case = CASES[name]
    if case.stop:
        with pytest.raises(UserError) as stopped:
            ingest(case)
        for text in case.stop:
            assert text in str(stopped.value)
        assert not Path("data/ingested/manifest.parquet").exists()
        return
    ingest(case)
    got = outcome()
    strays = {p for p, what in case.expected.items() if what == "-"}
    leftover = {"not_in_metadata", "outside_class_folders", "not_an_image", "archive"}
    assert all(got[path] in leftover for path in strays)
    metadata = set(case.files) - strays
    got = {p: what for p, what in got.items() if p not in strays | metadata}
    assert got == {p: what for p, what in case.expected.items() if p not in strays}
    if case.column:
        column, values = case.column
        manifest = pd.read_parquet("data/ingested/manifest.parquet").set_index("path")
        assert manifest.loc[list(values), column].to_dict() == values
    printed = capsys.readouterr().out
    for text in case.printed:
        assert text in printed
    listed = pd.read_csv("reports/ingest/metadata.csv")["file"] if case.files else []
    assert set(listed) == set(case.files)


def test_counts_of_what_is_left_out_stand_on_the_card(ingest):
    photos, table = labelled(["misfire", "fox", "deer"])
    ingest(Case([*photos, "p/@eaDir/x.jpg"], {"labels.csv": table}))
    card = Path("reports/ingest/index.html").read_text(encoding="utf-8")
    section = card.partition("Labels that name no animal")[2].partition("</table>")[0]
    assert "camera_handling: misfire" in section
    assert ">3<" in section
    assert "@eaDir" in card.partition("Ignored folders")[2].partition("</table>")[0]


def test_a_spreadsheet_is_read(ingest, tmp_path):
    book = openpyxl.Workbook()
    for row in (["Survey 2024"], [], ["file", "species"], *FLAT_ROWS):
        book.active.append(row)
    book.save(tmp_path / "labels.xlsx")
    data = (tmp_path / "labels.xlsx").read_bytes()
    ingest(Case(FLAT, {"labels.xlsx": data}))
    assert {p: s for p, s in outcome().items() if p in FLAT} == halves(FLAT)


@pytest.mark.parametrize(
    ("level", "keyword"), [("auto", "Species|fox"), ("auto", None), ("folder:1", "fox")]
)
def test_keywords_in_photos_are_no_labels_and_are_not_passed_over(ingest, level, keyword):
    """As digiKam writes them; of half of the photos at most they are of something else."""
    packet = XMP.format(keyword).encode() if keyword else b""
    photos = {}
    for i, path in enumerate(STATIONS):
        file = io.BytesIO()
        here = packet if keyword and i else XMP.format("x").encode() if i % 2 else b""
        Image.open(io.BytesIO(jpeg(i))).save(file, "JPEG", xmp=here)
        photos[path] = file.getvalue()
    case = Case([], photos, {"species_from": level})
    if level == "auto" and keyword:
        with pytest.raises(
            UserError, match=r"7 of 8 photos looked at hold keywords.*: Species, fox;"
        ):
            ingest(case)
    else:
        ingest(case)
        assert outcome() == {p: p.split("/")[0] for p in STATIONS}


def test_a_text_about_a_photo_is_no_table(ingest):
    ingest(Case(STATIONS, {"README.txt": f"{STATIONS[0]} is fine,\nthe\nothers\n\nas well\n"}))
    assert outcome() == {p: p.split("/")[0] for p in STATIONS} | {
        "README.txt": "outside_class_folders"
    }
    assert pd.read_csv("reports/ingest/metadata.csv").empty


@pytest.mark.parametrize("size", [20_000])
def test_many_rows_are_matched_in_time_that_grows_with_their_number(size):
    """Each row is looked up, not compared with every file: 4e8 comparisons would take an hour."""
    from pipeline.sources import paths

    disk = [f"cam{i // 100}/sub/IMG_{i % 100}.JPG" for i in range(size)]
    names = pd.Series([path.rpartition("/")[2] for path in disk], dtype="str")
    places = pd.DataFrame({"station": [path.partition("/")[0] for path in disk]})
    assert list(paths.match(names, disk, places)["path"]) == disk
