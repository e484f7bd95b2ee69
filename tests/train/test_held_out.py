import numpy as np
import pandas as pd
import pytest

from pipeline.train import held_out

LABELS = ("ant", "bee")
LOGITS = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0], [0.0, 4.0], [1.0, 0.5]])
FEATURES = np.arange(10.0).reshape(5, 2)


INDEX = pd.DataFrame(
    {"photo": [*"vwxyz"], "split": ["train"] * 3 + ["validation"] * 2}, index=range(3, 8)
)
PICTURES = INDEX, np.array([0, 0, 0, 1, 1]), LABELS, LOGITS


def test_each_photo_has_what_the_head_answered():
    table = held_out.table(*PICTURES, features=None)
    assert table["photo"].tolist() == [*"vwxyz"]
    assert table["species"].tolist() == ["ant", "ant", "ant", "bee", "bee"]
    assert table["largest_logit"].tolist() == [2, 1, 3, 4, 1]
    assert table["right"].tolist() == [True, False, True, True, False]
    powers = np.exp(LOGITS)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.stack(table["probabilities"]), expected)
    assert "features" not in table


def test_some_photos_have_their_features(monkeypatch):
    monkeypatch.setattr(held_out, "FEATURES_OF", 3)
    table = held_out.table(*PICTURES, features=lambda rows: FEATURES[rows])
    drawn = table["features"].notna().to_numpy()
    assert drawn.sum() == 3
    assert drawn[3:].all(), "those of the validation split come first"
    np.testing.assert_array_equal(np.stack(table["features"][drawn]), FEATURES[drawn])


def test_a_photo_of_several_views_has_the_mean_of_their_logits_and_features(monkeypatch):
    monkeypatch.setattr(held_out, "FEATURES_OF", 2)
    index = INDEX.assign(photo=[*"vvwxx"], view=[0, 1, 0, 0, 1], split=[*["train"] * 3, *["x"] * 2])
    index["split"] = index["split"].replace("x", "validation")
    table = held_out.table(index, *PICTURES[1:], features=lambda rows: FEATURES[rows])
    assert table.columns.tolist() == [
        *("photo", "split", "species", "probabilities", "largest_logit", "right", "features")
    ]
    assert table["photo"].tolist() == [*"vwx"]
    assert table["species"].tolist() == ["ant", "ant", "bee"]
    assert table["largest_logit"].tolist() == [1.0, 3.0, 2.25]
    assert table["right"].tolist() == [True, True, True]
    odds = np.exp([0.5, 2.0, -1.75])  # of ants to bees, by the mean logits
    np.testing.assert_allclose(np.stack(table["probabilities"])[:, 0], odds / (1 + odds))
    assert table["features"][2].tolist() == [7, 8]
    assert table["features"].notna().sum() == 2
    drawn = table["features"].dropna()[:-1].map(list).tolist()
    assert drawn in ([[1.0, 2.0]], [[4.0, 5.0]])


@pytest.mark.parametrize(("limit", "validation", "train"), [(150, 100, 50), (60, 60, 0)])
def test_of_many_photos_those_of_the_validation_split_come_first(
    monkeypatch, limit, validation, train
):
    monkeypatch.setattr(held_out, "FEATURES_OF", limit)
    species = np.where(np.arange(400) % 3 == 0, "bee", "ant")
    split = ["validation"] * 100 + ["train"] * 300
    drawn = held_out.draw(pd.DataFrame({"split": split, "species": species}))
    assert (drawn["split"] == "validation").sum() == validation
    assert (drawn["split"] == "train").sum() == train
    assert drawn["species"].nunique() == 2
