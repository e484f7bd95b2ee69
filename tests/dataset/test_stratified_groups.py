import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.dataset import stratified_groups

SHARES = (0.6, 0.25, 0.15)


def cameras(seed, cameras=200, species=13, photos=4000):
    """Photos of cameras of very different activity, each with a mixture of species of its own."""
    rng = np.random.default_rng(seed)
    activity = rng.pareto(2, cameras) + 0.2
    unit = rng.choice(cameras, photos, p=activity / activity.sum())
    mixture = rng.dirichlet(rng.uniform(0.05, 1, species), cameras)
    kind = [rng.choice(species, p=mixture[camera]) for camera in unit]
    return pd.Series(unit).map("camera {}".format), pd.Series(kind).map("s{}".format)


def misplaced(species, part, shares):
    counts = pd.crosstab(species, part).reindex(columns=range(len(shares)), fill_value=0)
    wanted = np.outer(counts.sum(axis=1), shares)
    return np.abs(counts.to_numpy() - wanted).sum() / 2 / len(species)


@pytest.mark.parametrize("seed", [0, 1])
def test_units_stay_whole_and_shares_are_close(seed):
    unit, species = cameras(seed)
    part = stratified_groups.deal(unit, species, SHARES, 0)
    assert pd.Series(part).groupby(unit).nunique().max() == 1
    assert set(part) == {0, 1, 2}
    by_chance = np.array([0, 1, 2])[
        np.searchsorted(np.cumsum(SHARES)[:-1], [stratified_groups.place(0, name) for name in unit])
    ]
    assert misplaced(species, part, SHARES) < 0.6 * misplaced(species, by_chance, SHARES)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_folds_are_no_less_balanced_than_those_of_scikit_learn(seed):
    unit, species = cameras(seed)
    shares = [0.2] * 5
    theirs = np.zeros(len(unit), int)
    peer = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for number, (_, test) in enumerate(peer.split(unit, species, unit)):
        theirs[test] = number
    ours = stratified_groups.deal(unit, species, shares, 0)
    assert misplaced(species, ours, shares) <= misplaced(species, theirs, shares)


def test_single_photos_are_dealt_out_exactly():
    species = pd.Series(np.repeat(["ant", "bee", "cat"], [100, 40, 20]))
    part = stratified_groups.deal(species.index.to_series().astype(str), species, SHARES, 0)
    assert pd.crosstab(species, part).to_numpy().tolist() == [[60, 25, 15], [24, 10, 6], [12, 5, 3]]


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_species_keeps_its_shares_beside_a_common_one(seed):
    """Each camera sees both. What lacks counts by what it is a share of: the same number of photos
    is most of a rare species and little of a common one."""
    rng = np.random.default_rng(seed)
    common, rare = rng.integers(20, 60, 60), rng.integers(0, 4, 60)
    names = [f"camera {number:02d}" for number in range(60)]
    unit = pd.Series(np.concatenate([np.repeat(names, common), np.repeat(names, rare)]))
    species = pd.Series(["common"] * common.sum() + ["rare"] * rare.sum())
    part = stratified_groups.deal(unit, species, SHARES, seed)
    # By the number of photos alone: 0.042 or more of the rare, 0.004 or more of the common species.
    for name, most in (("rare", 0.035), ("common", 0.003)):  # 0.028 and 0.002 are seen
        found = np.bincount(part[species == name], minlength=3) / (species == name).sum()
        assert np.abs(found - SHARES).max() < most, f"{name}: {found.round(3)}"


def test_order_of_the_photos_does_not_matter_and_the_seed_does():
    unit, species = cameras(0)
    part = stratified_groups.deal(unit, species, SHARES, 0)
    order = np.random.default_rng(0).permutation(len(unit))
    shuffled = stratified_groups.deal(unit[order], species[order], SHARES, 0)
    assert (shuffled == part[order]).all()
    assert (stratified_groups.deal(unit, species, SHARES, 1) != part).any()


@pytest.mark.parametrize("sizes", [[1, 1, 1], [50, 1, 1], [1, 30, 1, 1], [2] * 5])
def test_species_of_as_many_units_as_parts_is_in_all(sizes):
    common = pd.DataFrame({"unit": [f"c{i}" for i in range(200)], "species": "common"})
    units = np.repeat([f"r{i}" for i in range(len(sizes))], sizes)
    table = pd.concat([common, pd.DataFrame({"unit": units, "species": "rare"})])
    part = stratified_groups.deal(table["unit"], table["species"], SHARES, 0)
    assert set(part[table["species"] == "rare"]) == {0, 1, 2}


@pytest.mark.parametrize(("units", "parts"), [(1, {0}), (2, {0, 2})])
def test_species_of_fewer_units_is_in_the_first_part_then_the_last(units, parts):
    part = stratified_groups.deal(
        pd.Series([f"u{i}" for i in range(units)]), pd.Series(["owl"] * units), SHARES, 0
    )
    assert set(part) == parts
