import numpy as np
import pandas as pd
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import pairwise

from pipeline.dataset import shortcut_baseline, stratified_groups


def made(photos=400, species=4, copies=1, seed=0, tells=0.0):
    """Photos of random colours; `tells` is how far the species shows in them."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, species, photos)
    bytes_ = rng.integers(0, 120, (photos, 64)).astype(np.uint8)
    bytes_[np.arange(photos), kind] += np.uint8(135 * tells)
    table = pd.DataFrame(
        {
            "photo": [rng.bytes(8).hex() for _ in range(photos)],
            "species": [f"s{number}" for number in kind],
            "width": 100,
            "height": 80,
            "sharpness": rng.random(photos) * 1000,
            "colours": [row.tobytes().hex() for row in bytes_],
        }
    )
    table["group"] = table["photo"]
    again = pd.concat([table] * copies, ignore_index=True)
    again["photo"] += "-" + again.index.astype(str)
    return again


def test_species_that_colours_tell_are_found():
    told = shortcut_baseline.score(made(tells=1.0))
    assert told.accuracy > 0.9
    assert told.photos == 400


def test_species_that_colours_do_not_tell_are_guessed():
    score = shortcut_baseline.score(made())
    assert abs(score.accuracy - 0.25) < 4 * score.standard_error
    assert 0.25 <= score.guess < 0.32


@pytest.mark.slow
def test_copies_pretend_nothing_when_groups_stay_whole():
    rows = made(copies=2, photos=200)
    fold = stratified_groups.deal(rows["group"], rows["species"], [0.2] * 5, 0)
    gap = shortcut_baseline.gap(rows, fold, rows["group"])
    assert gap.grouped.accuracy < 0.4
    assert gap.random.accuracy > 0.7
    assert gap.gap == pytest.approx(gap.random.accuracy - gap.grouped.accuracy)
    assert gap.gap > 5 * gap.standard_error > 0


def test_model_is_the_one_of_scikit_learn():
    rows = made(photos=200, tells=0.5)
    fold = stratified_groups.deal(rows["photo"], rows["species"], [0.2] * 5, 0)
    seen = shortcut_baseline._features(rows)
    ranks = pd.DataFrame(seen).rank(pct=True).to_numpy()
    distances = pairwise.manhattan_distances(ranks)
    gamma = 1 / distances[np.triu_indices(200, 1)].mean()
    kinds = pd.get_dummies(rows["species"])
    expected = np.zeros(200, dtype=bool)
    for number in range(5):
        known, asked = fold != number, fold == number
        model = KernelRidge(alpha=shortcut_baseline._RIDGE, kernel="laplacian", gamma=gamma)
        said = model.fit(ranks[known], kinds[known]).predict(ranks[asked])
        expected[asked] = kinds.columns[said.argmax(axis=1)] == rows.loc[asked, "species"]
    answers = shortcut_baseline._answers(shortcut_baseline._kernel(seen), rows["species"], fold)
    np.testing.assert_array_equal(answers, expected)
    assert 0.3 < answers.mean() < 0.95


def test_photos_that_look_the_same_are_all_named_alike():
    rows = made(photos=60).assign(sharpness=1.0, colours="00" * 64)
    rows["species"] = ["b", "a", "c"] * 20
    score = shortcut_baseline.score(rows)
    assert score.accuracy <= score.guess == pytest.approx(1 / 3)


def test_standard_error_counts_units_and_not_photos():
    rng = np.random.default_rng(0)
    right = rng.random(500) < 0.5
    alone = shortcut_baseline.Score.of(right, pd.Series(["s"] * 500), pd.Series(range(500)))
    assert alone.standard_error == pytest.approx(0.5 / 500**0.5, rel=0.02)
    four_times = shortcut_baseline.Score.of(
        np.repeat(right, 4), pd.Series(["s"] * 2000), pd.Series(np.repeat(range(500), 4))
    )
    assert four_times.standard_error == pytest.approx(alone.standard_error)


def test_no_photos_have_a_score_of_nothing():
    assert shortcut_baseline.score(made()[:0]) == shortcut_baseline.Score(0, 0.0, 0.0, 0.0)


def test_sample_is_small_and_holds_whole_groups():
    groups = pd.Series(np.arange(20_000) // 4).map("g{}".format)
    manifest = pd.DataFrame({"photo": [f"p{i:05d}" for i in range(20_000)], "group": groups})
    chosen = shortcut_baseline.sample(manifest)
    assert len(chosen) == 2000
    assert chosen.index.is_monotonic_increasing
    assert (chosen.groupby("group").size() == 4).all()
    fewer = shortcut_baseline.sample(manifest[manifest["group"] != chosen["group"].iloc[0]])
    assert len(set(chosen["photo"]) & set(fewer["photo"])) == 1996


def test_one_large_group_does_not_fill_the_sample():
    manifest = pd.DataFrame({"photo": [f"p{i}" for i in range(5000)], "group": "g0"})
    manifest.loc[4900:, "group"] = manifest["photo"]
    assert len(shortcut_baseline.sample(manifest)) == 110
