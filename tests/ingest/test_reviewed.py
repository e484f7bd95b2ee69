"""What people's decisions do to the labels of a collection, and what is reported of it."""

import io
import unicodedata

import pandas as pd
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.ingest import reviewed
from pipeline.sources.feedback import Feedback

RANKS = ("class", "order", "family", "genus")
COLLECTION = [  # photo, path, species, reason
    ("aa", "fox/1.jpg", "fox", None),
    ("aa", "fox/copy.jpg", "fox", None),
    ("bb", "fox/2.jpg", "fox", None),
    ("cc", "owl/1.jpg", "owl", None),
    ("dd", "owl/2.jpg", "owl", None),
    ("ee", "owl/3.jpg", "owl", None),
    ("ff", "owl/4.jpg", "owl", "too_small"),
    ("gg", "owl/5.jpg", "owl", None),
]
DECIDED = [
    ("aa", "owl", None),
    ("bb", "fox", None),
    ("cc", None, "people_disagree"),
    ("dd", None, "too_few_yet"),
    ("ee", None, "withdrawn"),
    ("ff", "owl", None),
    ("gg", "fox", None),
    ("hh", "owl", None),
    ("ii", "lynx", None),
    ("jj", "lynx", None),
    ("kk", None, "undecided"),
]


@pytest.fixture
def decided():
    rows = [(f"../feedback/photos/{photo}.jpg", *rest) for photo, *rest in DECIDED]
    frame = pd.DataFrame(rows, columns=["path", "species", "reason"], index=range(50, 61))
    return frame.assign(detail=frame["reason"])


@pytest.fixture
def inspected(decided):
    files = pd.DataFrame(COLLECTION, columns=["photo", "path", "species", "reason"])
    files = files.assign(detail=None, **{rank: files["species"] + rank for rank in RANKS})
    photos = pd.Series([photo for photo, *_ in DECIDED], decided.index)
    own = decided.assign(photo=photos.mask(decided["reason"].notna()), **dict.fromkeys(RANKS))
    return pd.concat([files, own])


def test_decisions_change_species_and_reasons_of_the_collections_own_rows(inspected, decided):
    rows, relabelled = reviewed.apply(inspected, decided)
    own = rows.iloc[: len(COLLECTION)]
    assert own["species"].tolist() == ["owl", "owl", "fox", "owl", "owl", "owl", "owl", "fox"]
    reasons = ["", "", "", "people_disagree", "too_few_yet", "", "too_small", ""]
    assert own["reason"].fillna("").tolist() == reasons
    assert (own["family"] == own["species"] + "family").all(), "the ranks are of another species"
    copies = rows[rows["reason"] == "exact_duplicate"]
    assert copies["photo"].tolist() == ["aa", "bb", "gg"]
    assert relabelled.to_dict() == {"fox -> owl": 1, "owl -> fox": 1}, "a photo, not its files"


def test_what_came_of_each_photo_is_counted(inspected, decided):
    rows, relabelled = reviewed.apply(inspected, decided)
    refused = rows["reason"].notna() | (rows["path"].str.endswith("hh.jpg"))  # by a later check
    quarantine = rows[refused].fillna({"reason": "too_small"})
    effect = reviewed.effect(relabelled, decided, rows[~refused], quarantine)
    assert effect.added.to_dict() == {"lynx": 2, "owl": 1}
    expected = {"people_disagree": 1, "too_few_yet": 1, "too_small": 1, "undecided": 1}
    assert effect.left_out.to_dict() == expected | {"withdrawn": 1}
    assert effect.describe() == (
        "2 relabelled, 3 added (2 of species that the collection lacked), 5 left out "
        "(1 people_disagree, 1 too_few_yet, 1 too_small, 1 undecided, 1 withdrawn)"
    )


def test_without_decisions_nothing_is_changed_or_reported(inspected, decided):
    alone, none = inspected.iloc[: len(COLLECTION)], decided.iloc[:0]
    rows, relabelled = reviewed.apply(alone, none)
    assert rows.equals(alone) and relabelled.empty
    assert reviewed.effect(relabelled, none, rows, rows.iloc[:0]).describe() == ""


@pytest.fixture
def store(tmp_path):
    return Feedback(tmp_path / "feedback")


def decide(store, *labels):
    """Decides on a photo for each label."""
    for number, label in enumerate(labels):
        file = io.BytesIO()
        Image.new("RGB", (40, 40), (10 + 40 * number, 0, 0)).save(file, "JPEG")
        store.add(file.getvalue(), "species", label, "Anna")


def of_one_photo(species):
    columns = ["path", "species", "reason", "detail", "other_sides", "licence"]
    return pd.DataFrame([("a.jpg", species, None, None, False, "unknown")], columns=columns)


def test_a_species_that_people_alone_name_waits_for_photos(tmp_path, store):
    decide(store, "lynx", "lynx", "fox")
    like = of_one_photo("fox")
    for least, waiting in ((3, ["too_few_yet"] * 2), (2, [])):
        listed = reviewed.listed(store.folder, tmp_path / "photos", like, {}, least)
        assert listed["reason"].dropna().tolist() == waiting, "fox is known, there are two lynxes"
        assert listed.index.tolist() == [1, 2, 3], "the rows follow those of the collection"


def test_species_of_people_and_collection_that_differ_in_case_alone_are_a_mistake_until_merged(
    tmp_path, store
):
    decide(store, "Fox", "Fox")
    like = of_one_photo("fox")
    with pytest.raises(UserError, match=r"Fox and fox differ .* ingest\.labels: \{Fox: fox\}"):
        reviewed.listed(store.folder, tmp_path / "photos", like, {}, 2)
    merged = reviewed.listed(store.folder, tmp_path / "photos", like, {"Fox": "fox"}, 2)
    assert merged["species"].tolist() == ["fox", "fox"]
    waiting = reviewed.listed(store.folder, tmp_path / "photos", like, {}, 3)
    assert set(waiting["reason"]) == {"too_few_yet"}, "too few to be learned stop no run"


def test_species_of_people_and_labels_may_come_in_either_normal_form(tmp_path, store):
    composed, apart = (unicodedata.normalize(form, "söt") for form in ("NFC", "NFD"))
    decide(store, apart, composed)
    like = of_one_photo(composed)
    listed = reviewed.listed(store.folder, tmp_path / "photos", like, {}, 3)
    assert listed["species"].tolist() == [composed] * 2
    listed = reviewed.listed(store.folder, tmp_path / "photos", like, {apart: None}, 3)
    assert listed["reason"].tolist() == ["unwanted"] * 2
