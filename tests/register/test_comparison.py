"""The comparison of two recognisers on the same photos."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from pipeline.register import comparison


def answers(ours, theirs, groups=None):
    """Photos of owls, each right or not; the wrong ones are called cats."""
    table = pd.DataFrame({"challenger": ours, "champion": theirs})
    table = table.replace({True: "owl", False: "cat"})
    table["photo"] = [f"p{i:03d}" for i in range(len(table))]
    table["path"], table["box"], table["actual"] = table["photo"] + ".jpg", "", "owl"
    return table.assign(group=table["photo"] if groups is None else groups)


@pytest.fixture(scope="module")
def uneven():
    """250 photos of which 18 are gained and 6 are lost; a species of its own lost three of five."""
    ours, theirs = np.ones(250, bool), np.ones(250, bool)
    theirs[:18], ours[18:24], ours[24:40], theirs[24:40] = False, False, False, False
    table = answers(ours, theirs)
    rare = table.index.isin([18, 19, 20, 100, 101])
    return table.assign(actual=table["actual"].mask(rare, "bee")).assign(
        challenger=table["challenger"].mask(rare & (table["challenger"] == "owl"), "bee"),
        champion=table["champion"].mask(rare & (table["champion"] == "owl"), "bee"),
    )


def test_what_was_gained_and_lost_is_counted(uneven):
    found = comparison.compare(uneven)
    assert (found["photos"], found["gained"], found["lost"]) == (250, 18, 6)
    assert found["accuracy"] == pytest.approx(228 / 250)
    assert found["champion_accuracy"] == pytest.approx(216 / 250)
    assert found["difference"] == pytest.approx(12 / 250)
    owls, bees = found["species"]
    assert (owls["species"], owls["photos"], owls["gained"], owls["lost"]) == ("owl", 245, 18, 3)
    assert bees == {
        **{"species": "bee", "photos": 5, "recall": 2 / 5, "champion_recall": 1.0},
        **{"gained": 0, "lost": 3},
    }
    assert len(found["changed"]) == 24
    row = found["changed"][18]
    assert (row["photo"], row["actual"], row["challenger"]) == ("p018", "bee", "cat")
    assert not row["gained"] and found["changed"][0]["gained"]


def test_mcnemars_test_is_that_of_a_fair_coin(uneven):
    """Twice the chance of 18 or more heads of 24."""
    exact = 2 * sum(stats.binom(24, 0.5).pmf(k) for k in range(18, 25))
    assert comparison.compare(uneven)["p_value"] == pytest.approx(exact)
    same = comparison.compare(answers([True] * 30, [True] * 30))
    assert (same["p_value"], same["difference"], same["low"], same["high"]) == (1, 0, 0, 0)


def test_the_interval_is_that_of_paired_differences(uneven):
    """Of a mean its standard error is the values' standard deviation over the root of n."""
    found = comparison.compare(uneven)
    values = (uneven["challenger"] == uneven["actual"]) * 1.0 - (
        uneven["champion"] == uneven["actual"]
    )
    error = values.std() / 250**0.5
    assert found["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    low, high = found["one_sided"]
    assert low == pytest.approx(values.mean() - 1.645 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.645 * error, abs=0.2 * error)


def test_photos_of_a_group_are_drawn_together():
    rng = np.random.default_rng(1)
    ours, theirs = (np.repeat(rng.random(100) < share, 4) for share in (0.9, 0.8))
    alone = comparison.differences(pd.Series(ours), pd.Series(theirs), pd.Series(range(400)))
    groups = pd.Series(np.arange(400) // 4)
    together = comparison.differences(pd.Series(ours), pd.Series(theirs), groups)
    assert together.std() == pytest.approx(2 * alone.std(), rel=0.1)
    assert together.mean() == pytest.approx((ours * 1.0 - theirs).mean(), abs=0.005)


def test_changed_photos_are_shown_and_those_that_are_gone_are_not(uneven, tmp_path):
    for name, colour in (("p000", "red"), ("p018", "lime")):
        Image.new("RGB", (40, 50), colour).save(tmp_path / f"{name}.jpg")
    (tmp_path / "p001.jpg").write_text("no photo")
    found = comparison.pictures(comparison.compare(uneven), tmp_path)
    assert set(found) == {"p000", "p018"}
    red, green = (Image.open(io.BytesIO(found[name])).getpixel((80, 80)) for name in sorted(found))
    assert red[0] > 200 > red[1] and green[1] > 200 > green[0]
    assert comparison.pictures(None, tmp_path) == {}
