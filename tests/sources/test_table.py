import json

import pandas as pd
import pytest
from listed import list_files

from pipeline.core.errors import UserError
from pipeline.sources import annotations, cells, reader


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def species(folder, **options):
    """Species of each file that can be tried, and the reason of each other one."""
    rows = list_files(folder, **options).set_index("path")
    return rows["species"].where(rows["reason"].isna(), rows["reason"]).to_dict()


@pytest.mark.parametrize(
    "text",
    [
        "file_name,species\n1.jpg,cat\n2.jpg,dog\n",
        "File Name;Label\r\n1.jpg;cat\r\n2.jpg;dog\r\n",
        "\ufeffimage\tclass\n1.jpg\tcat\n2.jpg\tdog\n",
        "id,breed\n1,cat\n2,dog\n",
        "filepaths,labels,data set\nimages/1.jpg,cat,train\nimages/2.jpg,dog,test\n",
        'note,path,scientificName\n"a, ""b""\nc",images\\1.jpg, cat \n,./images/2.jpg,dog\n',
        "RootFolder,RelativePath,File,Species\nx,images,1.jpg,cat\nx,images,2.jpg,dog\n",
        "file,species,species\n1.jpg,cat,owl\n2.jpg,dog,owl\n",
    ],
)
@pytest.mark.parametrize("name", ["labels.csv", "anything.tsv"])
def test_tables_as_people_write_them(tmp_path, text, name):
    make(tmp_path, "images/1.jpg", "images/2.jpg")
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert species(tmp_path) == {"images/1.jpg": "cat", "images/2.jpg": "dog"}


def test_parquet_and_json_lines(tmp_path):
    make(tmp_path, "images/1.jpg", "images/2.jpg")
    rows = pd.DataFrame(
        {
            "file_name": ["1.jpg", "2.jpg"],
            "label": ["cat", "dog"],
            "when": [1, 2],
            "timestamp": pd.to_datetime(["2020-05-30 04:57:37", None]),
            "bbox": [[0.1, 0.2, 0.3, 0.4], None],
        }
    )
    rows.to_parquet(tmp_path / "metadata.parquet")
    for _ in range(2):
        found = list_files(tmp_path)
        assert found["species"].tolist() == ["cat", "dog"]
        assert found["boxes"].dropna().tolist() == [((0.1, 0.2, 0.3, 0.4),)]
        assert found["taken_at"].dropna().tolist() == ["2020-05-30T04:57:37"]
        (tmp_path / "metadata.parquet").unlink(missing_ok=True)
        rows.assign(timestamp=["2020-05-30 04:57:37", None]).to_json(
            tmp_path / "metadata.jsonl", orient="records", lines=True
        )


def test_every_column_by_its_usual_name(tmp_path):
    make(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "metadata.csv").write_text(
        "file_name,species,sequence_id,camera,datetime,split,license,xmin,ymin,xmax,ymax\n"
        "1.jpg,nan cat,s1,c1,2020-05-30 04:57:37,val,CC0,10,20,40,60\n"
        "2.jpg,dog,s1,,,elsewhere,,,,,\n"
    )
    first, second = list_files(tmp_path).to_dict("records")
    assert first == {
        "path": "1.jpg",
        "species": "nan cat",
        "reason": first["reason"],
        "detail": first["detail"],
        "group": "s1",
        "location": "c1",
        "taken_at": "2020-05-30T04:57:37",
        "split_hint": "validation",
        "licence": "CC0",
        **{rank: first[rank] for rank in annotations.RANKS},
        "boxes": ((10.0, 20.0, 30.0, 40.0),),
        "other_sides": False,
    }
    nothing = ["reason", "location", "taken_at", "split_hint", "licence", "boxes"]
    assert pd.isna([second[name] for name in nothing]).all()
    assert second["group"] == "s1"


def test_what_is_missing_on_either_side_is_told(tmp_path):
    make(tmp_path, "1.jpg", "2.jpg", "sub/3.jpg", "README.txt")
    (tmp_path / "labels.csv").write_text(
        "file,label\n1.jpg,cat\n2.jpg,\ngone.jpg,cat\nhttps://a.b/c.jpg,dog\n../../x.jpg,dog\n"
        "clip.mp4,dog\n1.jpg,cat\n"
    )
    assert species(tmp_path) == {
        "1.jpg": "cat",
        "2.jpg": "no_species",
        "sub/3.jpg": "not_in_metadata",
        "README.txt": "not_in_metadata",
        "gone.jpg": "missing_file",
        "https://a.b/c.jpg": "remote",
        "../../x.jpg": "missing_file",
        "clip.mp4": "missing_file",
    }


def test_two_species_in_two_rows(tmp_path):
    make(tmp_path, "1.jpg")
    (tmp_path / "labels.csv").write_text("file,label\n1.jpg,cat\n1.jpg,dog\n")
    assert species(tmp_path) == {"1.jpg": "several_species"}


def test_a_table_of_each_split(tmp_path):
    make(tmp_path, "images/1.jpg", "images/2.jpg", "images/3.jpg")
    for i, name in enumerate(["train", "val", "test"], 1):
        (tmp_path / f"{name}.csv").write_text(f"id,label\n{i},cat\n")
    assert list_files(tmp_path)["split_hint"].tolist() == ["train", "validation", "test"]


def test_metadata_inside_the_folder_of_each_split(tmp_path):
    for name in ("train", "test"):
        make(tmp_path, f"{name}/1.jpg", f"{name}/2.jpg")
        (tmp_path / name / "metadata.csv").write_text("file_name,label\n1.jpg,cat\n2.jpg,dog\n")
    found = list_files(tmp_path)
    assert found["split_hint"].tolist() == ["test", "test", "train", "train"]
    assert found["species"].tolist() == ["cat", "dog"] * 2


@pytest.mark.parametrize("folders", [["cam1", "cam2"], ["2020/cam1", "2020/cam2", "2021/x/cam1"]])
@pytest.mark.parametrize("level", [0, -1])
def test_a_table_in_each_folder_whose_place_is_the_folders_name_at_any_depth(
    tmp_path, folders, level
):
    photos = [f"{folder}/{i}.jpg" for folder in folders for i in (1, 2, 3)]
    make(tmp_path, *photos)
    for folder in folders:
        place = folder.split("/")[level]
        rows = f"1.jpg,{place},cat\n2.jpg,{place},dog\n3.jpg,,owl\n"
        (tmp_path / folder / "labels.csv").write_text(f"file,location,species\n{rows}")
    assert species(tmp_path) == {p: {"1": "cat", "2": "dog", "3": "owl"}[p[-5]] for p in photos}


def test_splits_of_folders_hold_for_a_table_too(tmp_path):
    make(tmp_path, "train/1.jpg", "valid/2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\ntrain/1.jpg,cat\nvalid/2.jpg,dog\n")
    assert list_files(tmp_path)["split_hint"].tolist() == ["train", "validation"]


def test_metadata_without_species_take_them_from_class_folders(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,location\ncat/1.jpg,a\ndog/2.jpg,b\n")
    assert species(tmp_path) == {"cat/1.jpg": "cat", "dog/2.jpg": "dog"}
    assert list_files(tmp_path)["location"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "path,label,why\ncat/1.jpg,cat,drawing\n",
        "path,sha256\ncat/1.jpg,00\ndog/2.jpg,00\n",
        "",
        "\n",
    ],
)
def test_a_list_of_some_files_beside_class_folders_is_no_collection(tmp_path, text):
    make(tmp_path, "cat/1.jpg", "dog/2.jpg", "dog/3.jpg")
    (tmp_path / "suspects.csv").write_text(text)
    assert species(tmp_path) == {
        "cat/1.jpg": "cat",
        "dog/2.jpg": "dog",
        "dog/3.jpg": "dog",
        "suspects.csv": "outside_class_folders",
    }


def test_of_several_tables_the_one_with_most_photos_counts_or_the_one_that_is_named(tmp_path):
    make(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "all.csv").write_text("file,label\n1.jpg,cat\n2.jpg,dog\n")
    (tmp_path / "half.csv").write_text("file,label\n1.jpg,owl\n")
    expected = {"1.jpg": "cat", "2.jpg": "dog", "half.csv": "not_in_metadata"}
    assert species(tmp_path) == expected
    expected = {"1.jpg": "owl", "2.jpg": "not_in_metadata", "all.csv": "not_in_metadata"}
    assert species(tmp_path, chosen=tmp_path / "half.csv") == expected


def test_old_encoding_of_excel(tmp_path):
    make(tmp_path, "1.jpg")
    (tmp_path / "labels.csv").write_bytes("file;label\n1.jpg;Gänsegeier\n".encode("cp1252"))
    assert species(tmp_path) == {"1.jpg": "Gänsegeier"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.parquet", b"PAR1 not really"),
        ("metadata.jsonl", b'{"file_name": '),
        ("metadata.csv", b'file_name,label\n1.jpg,"cat\n'),
    ],
)
def test_broken_table_is_named(tmp_path, name, content):
    make(tmp_path, "cat/1.jpg")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} cannot be read as a table"):
        list_files(tmp_path)


def test_cells_are_texts(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"a": 1, "b": [1, 2.5], "c": " x ", "a ": ""}, {"a": None, "b": None, "c": ""}]
    path.write_text("\n".join(map(json.dumps, rows)))
    read = cells.load(path)
    assert read["b"].dropna().tolist() == ["[1, 2.5]"]
    assert read["c"].dropna().tolist() == ["x"]


PAIRS = [(1, "fox"), (2, "owl"), (3, "fox"), (4, "owl"), (5, "owl")]
NESTED = {
    "an object": [{"image": {"file_name": f"{n}.jpg"}, "label": {"species": s}} for n, s in PAIRS],
    "two levels": [{"file": f"{n}.jpg", "truth": {"animal": {"taxon": s}}} for n, s in PAIRS],
    "a list of one object": [
        {"file": f"{n}.jpg", "objects": [{"label": s, "score": 1}]} for n, s in PAIRS
    ],
}


@pytest.mark.parametrize("rows", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("name", ["metadata.jsonl", "export.json"])
def test_a_species_within_an_object_is_read(tmp_path, rows, name):
    make(tmp_path, *(f"{n}.jpg" for n, _ in PAIRS))
    lines = "\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows)
    (tmp_path / name).write_text(lines)
    assert species(tmp_path) == {f"{n}.jpg": s for n, s in PAIRS}


def test_a_species_within_an_object_under_a_name_of_its_own_is_named(tmp_path):
    make(tmp_path, *(f"{n}.jpg" for n, _ in PAIRS))
    rows = [{"file": f"{n}.jpg", "befund": {"art": s, "nr": n}} for n, s in PAIRS]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError, match=r"ingest\.columns: \{species: \"?befund\.art\"?\}"):
        species(tmp_path)
    assert species(tmp_path, columns={"species": "befund.art"}) == {f"{n}.jpg": s for n, s in PAIRS}


def test_several_objects_in_a_cell_are_several_species(tmp_path):
    make(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    labels = (["fox", "owl"], ["owl", "owl"], [])
    rows = [
        {"file": f"{n}.jpg", "objects": [{"label": one} for one in several]}
        for n, several in enumerate(labels, 1)
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = list_files(tmp_path).set_index("path")
    assert files["reason"].dropna().to_dict() == {"1.jpg": "several_species", "3.jpg": "no_species"}
    assert files.loc["2.jpg", "species"] == "owl"


def test_how_many_times_have_no_zone_is_said_and_none_is_moved(tmp_path):
    make(tmp_path, "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    (tmp_path / "metadata.csv").write_text(
        "file,species,timestamp\n1.jpg,fox,2024-05-01T22:00:00+02:00\n2.jpg,fox,2024-05-01 10:00\n"
        "3.jpg,fox,2024-05-01T10:00:00.5Z\n4.jpg,fox,\n"
    )
    collection = reader.read(tmp_path, reader.Rules())
    assert "1 of 3 times in the metadata have no time zone; all are taken as the camera's own" in (
        collection.describe()
    )
    times = list(collection.files["taken_at"].dropna().str[11:])
    assert times == ["22:00:00", "10:00:00", "10:00:00"]
