import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.ingest import corrections

HEAD = "photo,was,is,who,when\n"


@pytest.fixture
def inspected():
    return pd.DataFrame(
        {
            "photo": ["aa", "bb", "cc", "dd", "aa", None],
            "path": ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg"],
            "species": ["fox", "fox", "owl", "map", "owl", "fox"],
            "family": ["Canidae", "Canidae", "Strigidae", None, "Strigidae", "Canidae"],
            "reason": [None, None, None, None, None, "missing_file"],
            "detail": None,
        },
        index=[3, 5, 8, 9, 12, 20],
    )


@pytest.fixture
def corrected(inspected, tmp_path):
    def correct(text):
        path = tmp_path / "corrections.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return corrections.apply(inspected, corrections.read(path), path)

    return correct


def test_photos_get_what_they_show_and_others_stay(corrected, inspected):
    text = "bb,fox,owl,ann,2026-11-01,,\ndd, map ,,ann,\ncc,owl,wolf,ben,\n"
    rows, counts = corrected("\ufeff" + HEAD + text)
    assert rows["species"].tolist() == ["fox", "owl", "wolf", "map", "owl", "fox"]
    family = rows["family"].fillna("unknown").tolist()
    assert family == ["Canidae", "Strigidae", "unknown", "unknown", "Strigidae", "Canidae"]
    reasons = rows["reason"].fillna("").tolist()
    assert reasons == ["", "", "", "corrected", "", "missing_file"]
    assert "line 3: it shows none of the species" in rows["detail"][9]
    assert counts.to_dict() == {"fox -> owl": 1, "map -> (none)": 1, "owl -> wolf": 1}
    assert inspected["species"].tolist() == ["fox", "fox", "owl", "map", "owl", "fox"]


def test_a_dispute_is_settled_by_the_file_that_is_wrong(corrected):
    """One photo stands under two species; the line is about the one that says fox."""
    rows, _ = corrected(HEAD + "aa,fox,owl,ann,now\n")
    assert rows.loc[[3, 12], "species"].tolist() == ["owl", "owl"]


def test_later_lines_correct_earlier_ones(corrected):
    rows, counts = corrected(HEAD + "bb,fox,owl,ann,\n\nbb,owl,wolf,ben,\n")
    assert rows["species"][5] == "wolf"
    assert counts.to_dict() == {"fox -> owl": 1, "owl -> wolf": 1}


@pytest.mark.parametrize("text", ["", HEAD, HEAD + ",,,,\n", "\n\n"])
def test_no_lines_change_nothing(corrected, inspected, text):
    rows, counts = corrected(text)
    assert rows.equals(inspected) and counts.empty


def test_an_absent_list_changes_nothing(inspected, tmp_path):
    absent = tmp_path / "none.csv"
    rows, counts = corrections.apply(inspected, corrections.read(absent), absent)
    assert rows.equals(inspected) and counts.empty


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEAD + "bb,fox,owl,,\nxx,fox,owl,,\n",
            r"corrections.csv, line 3: .* sha256 `xx`.* remove",
        ),
        (HEAD + "\nbb,owl,fox,,\n", r"line 3: .* labelled `fox` and not `owl`"),
        (HEAD + "bb,fox,owl,,\nbb,fox,cat,,\n", r"line 3: .* labelled `owl` and not `fox`"),
        ("photo,from,to\nbb,fox,owl\n", r"no column was, is, who, when: its first line must be"),
        (HEAD + 'bb,"fox\n', r"not a CSV in UTF-8"),
        (HEAD.encode() + b"bb,f\xe9,owl,,\n", r"not a CSV in UTF-8"),
    ],
)
def test_what_cannot_be_heeded_stops_with_its_line(corrected, text, message):
    with pytest.raises(UserError, match=message) as caught:
        corrected(text)
    assert "\n" not in str(caught.value).strip()
