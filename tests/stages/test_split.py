"""What the split stage makes of a manifest: unequal shares, species, groups and cameras."""

import itertools

import numpy as np
import pandas as pd
import pytest
import staged

BITS = 5
SHARES = {"train": 0.6, "validation": 0.25, "test": 0.15}
PARAMS = {"split.train": 0.6, "split.validation": 0.25, "split.test": 0.15}
GROUPS = {"ant": 44, "bee": 24, "cat": 9, "dog": 8}


def manifest(seed=0):
    """Groups of one to four photos; each camera sees several, of two species or more."""
    rng = np.random.default_rng(seed)
    rows = []
    for species, groups in GROUPS.items():
        for number in range(groups):
            camera = f"camera {rng.integers(3 if species == 'dog' else 12):02d}"
            scene = int(rng.integers(2**63))
            names = sorted(rng.bytes(16).hex() for _ in range(rng.integers(1, 5)))
            for place, name in enumerate(names):
                phash = scene ^ (1 << place if place else 0)
                rows.append((name, species, names[0], camera, phash, species, number))
    table = pd.DataFrame(
        rows, columns=["photo", "species", "group", "location", "phash", "kind", "number"]
    )
    table["path"] = table["kind"] + "/" + table["photo"] + ".jpg"
    table["phash"] = table["phash"].astype("uint64")
    table["taken_at"], table["split_hint"], table["width"], table["height"] = None, None, 90, 60
    return table.drop(columns=["kind", "number"]).astype({"split_hint": "str", "taken_at": "str"})


class Split:
    """A run of the stage on a manifest, and what it wrote."""

    def __init__(self, folder, table, **lines):
        (folder / "data/ingested").mkdir(parents=True, exist_ok=True)
        table.to_parquet(folder / "data/ingested/manifest.parquet")
        rng = np.random.default_rng(0)
        seen = pd.DataFrame({"photo": table["photo"], "sharpness": rng.random(len(table))})
        seen["colours"] = [rng.bytes(64).hex() for _ in range(len(table))]
        seen.to_parquet(folder / "data/ingested/appearance.parquet")
        lines = {f"split.{name}": value for name, value in lines.items()}
        staged.run("split", folder, PARAMS | {"ingest.near_duplicate_bits": BITS} | lines)
        self.table = pd.read_parquet(folder / "data/split.parquet").merge(
            table[["photo", "location", "phash"]], on="photo"
        )
        self._reports = folder / "reports/split"

    def report(self, name):
        return pd.read_csv(self._reports / f"{name}.csv")


@pytest.fixture(scope="module")
def by_group(tmp_path_factory):
    return Split(tmp_path_factory.mktemp("by-group"), manifest())


@pytest.fixture(scope="module")
def by_location(tmp_path_factory):
    return Split(tmp_path_factory.mktemp("by-location"), manifest(), by="location")


@pytest.mark.slow
def test_each_split_has_the_share_that_params_give_it(by_group):
    shares = by_group.table["split"].value_counts(normalize=True)
    for name, wanted in SHARES.items():
        assert shares[name] == pytest.approx(wanted, abs=0.04), f"{name} has not its share"


@pytest.mark.slow
@pytest.mark.parametrize(("by", "unit"), [("group", "group"), ("location", "location")])
def test_what_params_keep_together_is_in_one_split_and_one_fold(by, unit, request):
    table = request.getfixturevalue(f"by_{by}").table
    assert table.groupby(unit)["split"].nunique().max() == 1, f"a {unit} is in several splits"
    learned = table[table["split"] != "test"]
    assert learned.groupby(unit)["fold"].nunique().max() == 1, f"a {unit} is in several folds"
    assert table["location"].nunique() < table["group"].nunique() / 4


def test_folds_are_dealt_out_to_all_photos_but_those_of_the_test(by_group):
    table = by_group.table
    assert table.loc[table["split"] == "test", "fold"].isna().all()
    assert set(table.loc[table["split"] != "test", "fold"]) == set(range(5))


def test_the_seed_of_params_decides(by_group, tmp_path):
    other = Split(tmp_path, manifest(), seed=1).table.set_index("photo")["split"]
    same = by_group.table.set_index("photo")["split"] == other
    assert 0.2 < same.mean() < 0.8, "another seed gives the same split"


@pytest.mark.slow
def test_near_duplicates_across_splits_are_counted_as_far_as_params_say(tmp_path):
    table = manifest()
    hashes = table["phash"].to_numpy().copy()
    for one in range(0, 80, 4):  # another's picture with as many bits changed as still count
        hashes[len(table) - 1 - one // 4] = hashes[one] ^ np.uint64(0b11111 << 20)
    split = Split(tmp_path, table.assign(phash=hashes))
    rows = split.table[["phash", "split"]].itertuples(index=False)
    pairs = sum(
        one.split != other.split and (one.phash ^ other.phash).bit_count() <= BITS
        for one, other in itertools.combinations(rows, 2)
    )
    assert pairs > 10
    assert split.report("leaks")["pairs_across_splits"].tolist() == [pairs]


def test_counts_are_those_of_the_table(by_group):
    counts = by_group.report("counts").set_index("species")
    for (species, split), rows in by_group.table.groupby(["species", "split"]):
        assert counts.loc[species, split] == len(rows)
        share = len(rows) / (by_group.table["species"] == species).sum()
        assert counts.loc[species, f"{split}_share"] == pytest.approx(share, abs=0.001)


def test_the_balance_counts_photos_and_whole_units(by_location):
    table, balance = by_location.table, by_location.report("balance")
    assert len(balance) == 3 * table["species"].nunique()
    for row in balance.itertuples():
        photos = table[table["species"] == row.species]
        inside = photos[photos["split"] == row.split]
        assert row.photos == len(inside)
        assert row.wanted == pytest.approx(SHARES[row.split] * len(photos))
        assert row.units == len(set(inside["location"]))
        assert row.units_in_all == len(set(photos["location"]))
    assert (balance["units"] < balance["units_in_all"]).any()


def test_of_twins_in_a_collection_that_came_split_the_earlier_is_left_out(tmp_path):
    table = manifest()
    rng = np.random.default_rng(1)
    table["split_hint"] = rng.choice(list(SHARES), len(table), p=list(SHARES.values()))
    split = Split(tmp_path, table)
    order = list(SHARES)
    last = table["split_hint"].map(order.index).groupby(table["group"]).transform("max")
    kept = table[table["split_hint"].map(order.index) == last]
    assert dict(zip(split.table["photo"], split.table["split"], strict=True)) == dict(
        zip(kept["photo"], kept["split_hint"], strict=True)
    )
    assert len(split.report("left_out")) == len(table) - len(kept) > 20
    assert split.table["fold"].isna().all()  # it came with photos to be judged by
    anew = Split(tmp_path, table, respect_given=False).table
    assert len(anew) == len(table)
    assert anew.groupby("group")["split"].nunique().max() == 1
