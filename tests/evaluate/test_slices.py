import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from pipeline.dataset import image_statistics
from pipeline.evaluate import slices


def picture(rng, level, colour, noise=20):
    """Noise about a grey level, the same in all channels or with more red."""
    grey = rng.normal(level, noise, (80, 80, 1)).clip(0, 215)
    return (grey + np.array([colour, 0, 0])).astype(np.uint8)


def test_light_is_seen_on_the_pictures():
    rng = np.random.default_rng(0)
    pictures = [
        picture(rng, 130, 40),
        picture(rng, 30, 30, noise=8),
        picture(rng, 40, 0),
        picture(rng, 150, 4),
    ]
    seen = slices.light_and_sharpness([np.stack(pictures[:3]), np.stack(pictures[3:])])
    assert seen["light"].tolist() == ["day", "dusk", "infrared", "infrared"]
    expected = [image_statistics.measure(Image.fromarray(p)).sharpness for p in pictures]
    assert seen["sharpness"].tolist() == expected


def test_each_picture_is_in_the_slices_that_its_photo_says():
    pictures = pd.DataFrame(
        {
            "photo": ["c", "a", "d", "b"],
            "species": ["owl", "cat", "owl", "bee"],
            "box": [None, None, None, "[0.1, 0.1, 0.7, 0.7]"],
        },
        index=[7, 2, 9, 4],
    )
    manifest = pd.DataFrame(
        {
            "photo": list("abcd"),
            "box": [
                "[[0, 0, 0.5, 0.5]]",
                "[[0, 0, 0.01, 0.01]]",
                None,
                "[[0,0,0.1,0.1],[0,0,1,1]]",
            ],
            "location": ["x", None, "y", "x"],
            "origin": ["web", "web", None, "web"],
            "flags": ["blurred", "", "cut_short blurred", ""],
        }
    )
    split = pd.DataFrame({"species": ["owl"] * 60 + ["cat"] * 49, "split": "train"})
    split.loc[5:14, "split"] = "test"
    seen = pd.DataFrame({"light": ["day", "dusk", "day", "day"], "sharpness": [3.0, 1.0, 9.0, 5.0]})
    table = slices.facets(pictures, manifest, split, seen)

    def slices_of(column):
        return [None if pd.isna(value) else value for value in table[column]]

    assert slices_of("subject size") == [None, "10 to 40 %", "40 % and more", "40 % and more"]
    assert slices_of("light") == ["day", "dusk", "day", "day"]
    assert slices_of("sharpness") == [
        *("least sharp third", "least sharp third", "sharpest third", "middle third")
    ]
    assert slices_of("location") == ["y", "x", "x", None]
    assert slices_of("source") == [None, "web", "web", "web"]
    assert slices_of("training photos") == ["50 to 99", "under 50", "50 to 99", "under 50"]
    assert slices_of("flag blurred") == ["flagged", "flagged", None, None]
    assert slices_of("flag cut_short") == ["flagged", None, None, None]


@pytest.fixture(scope="module")
def scored():
    """300 photos, 9 of 10 right, but 12 of 20 of one source, and one light of too few photos."""
    source = np.array(["web"] * 200 + ["trap"] * 20 + ["book"] * 80, dtype=object)
    right = np.arange(300) % 10 != 0
    right[200:220] = np.arange(20) < 12
    light = np.array(["day"] * 295 + ["dusk"] * 5, dtype=object)
    facets = pd.DataFrame({"source": source, "light": light, "size": None})
    return slices.scored(facets, right, np.arange(300)), right, facets


def test_slices_have_their_numbers(scored):
    table = scored[0].set_index(["facet", "slice"])
    assert list(table.index) == [
        *(("source", "book"), ("source", "trap"), ("source", "web"), ("light", "day"))
    ]
    row = table.loc[("source", "trap")]
    assert (row["photos"], row["mistakes"], row["accuracy"]) == (20, 8, 0.6)
    assert row["accuracy_elsewhere"] == pytest.approx(252 / 280)
    exact = stats.beta(12.5, 8.5).ppf([0.025, 0.975])
    assert [row["low"], row["high"]] == pytest.approx(exact, abs=0.03)


def test_only_what_is_worse_beyond_chance_is_called_so(scored):
    table, right, facets = scored
    assert table.loc[table["worse"], "slice"].tolist() == ["trap"]
    p_values = []
    for facet, name in zip(table["facet"], table["slice"], strict=True):
        inside = (facets[facet] == name).to_numpy()
        wrong_elsewhere, wrong = (~right[~inside]).sum(), (~right[inside]).sum()
        drawn = stats.hypergeom(300, wrong + wrong_elsewhere, inside.sum())
        p_values.append(drawn.sf(wrong - 1))
    order = np.argsort(p_values)[::-1]  # the step-up procedure of Benjamini & Hochberg by hand
    expected, smallest = np.empty(4), 1.0
    for rank, i in zip(range(4, 0, -1), order, strict=True):
        smallest = min(smallest, p_values[i] * 4 / rank)
        expected[i] = smallest
    np.testing.assert_allclose(table["p_value"], expected)


def test_photos_that_fail_together_are_no_proof():
    """20 near-duplicates of one picture are one mistake."""
    right = np.arange(320) % 40 != 0
    right[300:] = False
    units = np.concatenate([np.arange(300), np.full(20, 300)])
    facets = pd.DataFrame({"camera": ["a"] * 300 + ["b"] * 20})
    assert slices.scored(facets, right, np.arange(320))["worse"].any()
    assert not slices.scored(facets, right, units)["worse"].any()


def test_how_much_photos_of_a_unit_are_alike():
    """Units of a random share of right photos: the correlation is its variance over p (1 - p)."""
    rng = np.random.default_rng(0)
    share = rng.beta(3, 1, 4000)  # p = 3/4, variance 3/80: correlation 1/5
    units = np.repeat(np.arange(4000), rng.integers(1, 9, 4000))
    right = rng.random(len(units)) < share[units]
    assert slices.intraclass_correlation(right, units) == pytest.approx(0.2, abs=0.02)
    assert slices.intraclass_correlation(right, rng.permutation(units)) < 0.02
    assert slices.intraclass_correlation(right[:9], np.arange(9)) == 0
    assert slices.intraclass_correlation(np.ones(9, bool), np.arange(9) // 2) == 0
    assert slices.intraclass_correlation(np.arange(9) < 4, np.arange(9) // 4) == 1


def test_what_photos_of_a_unit_tell_together():
    parts = np.array([[1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1]])
    units = np.array([0, 0, 0, 1, 2, 3])
    # Photos are in units of 3, 3, 3, 1 and 1: 11/5 on average; of the second part in units of one.
    assert slices.design_effects(parts, units, 0.5).tolist() == [1 + (11 / 5 - 1) / 2, 1]


def test_without_slices_there_is_an_empty_table():
    table = slices.scored(pd.DataFrame({"light": ["day"] * 30}), np.ones(30, bool), np.arange(30))
    assert table.empty
