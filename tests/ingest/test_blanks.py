import numpy as np
import pandas as pd

from pipeline.ingest import blanks, rare_species


def files(*rows):
    return pd.DataFrame(rows, columns=["path", "species", "reason", "detail"], dtype=object)


def test_what_shows_nothing_becomes_a_class_under_one_name():
    named = blanks.as_species(
        files(
            ("1.jpg", "fox", None, None),
            ("2.jpg", None, "blank", "labelled Empty"),
            ("3.jpg", "False trigger", None, None),  # a label that a person kept
            ("4.jpg", "empty", "unwanted", None),  # one that a person dropped
            ("5.jpg", None, "person_or_vehicle", "labelled human"),
            ("6.jpg", "blank", "blank", None),
        )
    )
    assert named["species"].fillna("").tolist() == [
        "fox",
        "blank",
        "blank",
        "empty",
        "",
        "blank",
    ]
    assert named["reason"].fillna("").tolist() == [
        *["", "", "", "unwanted", "person_or_vehicle", ""]
    ]
    assert named["detail"].fillna("").tolist() == ["", "", "", "", "labelled human", ""]


def test_too_few_blank_photos_are_left_out_and_animals_are_not():
    species = ["blank", "fox", "blank", "owl", "blank"]
    manifest = pd.DataFrame({"path": list("edcba"), "species": species})
    refused = files(("bb", "fox", "truncated", "half"))
    for least, left in ((3, 5), (4, 2)):
        remaining, quarantine, _ = rare_species.settle(manifest, refused, least, "stop")
        assert len(remaining) == left
        assert len(remaining) + len(quarantine) == 6
    assert remaining["species"].tolist() == ["fox", "owl"]
    assert quarantine["path"].tolist() == ["a", "bb", "c", "e"]
    assert quarantine["reason"].tolist() == ["blank", "truncated", "blank", "blank"]
    assert quarantine["species"].replace({np.nan: None}).tolist() == [None, "fox", None, None]
