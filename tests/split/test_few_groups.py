import itertools
import json

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.dataset import stratified_groups
from pipeline.split import assignment, report

SHARES = np.array([0.7, 0.15, 0.15])


def bursts(sizes, seed=0):
    """A manifest of species with bursts of these sizes; names tell nothing of their order."""
    rng = np.random.default_rng(seed)
    rows = [
        (rng.bytes(8).hex(), species, group)
        for species, each in sizes.items()
        for size in each
        for group in [rng.bytes(8).hex()]
        for _ in range(size)
    ]
    return pd.DataFrame(rows, columns=["photo", "species", "group"])


def counted(manifest, split):
    counts = pd.crosstab(manifest["species"], split)
    return counts.reindex(columns=assignment.SPLITS, fill_value=0)


def fewest_off(sizes):
    """Photos that must stand off their share if each split has a group: all assignments tried."""
    best = np.inf
    for part in itertools.product(range(3), repeat=len(sizes)):
        held = np.bincount(part, sizes, minlength=3)
        if held.all():
            best = min(best, np.abs(held - SHARES * sum(sizes)).sum() / 2)
    return best


def test_of_few_groups_no_other_assignment_is_nearer():
    rng = np.random.default_rng(1)
    sizes = {f"s{i}": rng.integers(1, 20, rng.integers(3, 8)).tolist() for i in range(12)}
    manifest = bursts(sizes)
    split = assignment.assign(manifest, 0.7, 0.15, 0)
    assert split.groupby(manifest["group"]).nunique().max() == 1
    for species, held in counted(manifest, split).iterrows():
        off = np.abs(held - SHARES * held.sum()).sum() / 2
        assert held.all(), f"{species} is not in every split: {held.tolist()}"
        within = max(fewest_off(sizes[species]), 0.05 * held.sum())
        assert off <= within + 1e-9, f"{species} {sizes[species]} could be nearer: {held.tolist()}"


def test_species_that_share_groups_are_all_in_every_split():
    manifest = bursts({"owl": [9, 7, 5, 4], "fox": [8, 8, 3], "elk": [12, 2, 2, 2]})
    first = manifest.groupby("species")["group"].first()
    manifest["group"] = manifest["group"].replace(first["fox"], first["owl"])
    split = assignment.assign(manifest, 0.7, 0.15, 0)
    assert split.groupby(manifest["group"]).nunique().max() == 1
    assert counted(manifest, split).to_numpy().all()


def test_few_groups_are_assigned_the_same_in_whatever_order():
    manifest = bursts({"owl": [10, 10, 7, 7], "fox": [5, 5, 5], "elk": [6, 6, 3, 3, 1]})
    split = assignment.assign(manifest, 0.7, 0.15, 3)
    for seed in range(5):
        shuffled = manifest.sample(frac=1, random_state=seed)
        again = assignment.assign(shuffled, 0.7, 0.15, 3).sort_index()
        pd.testing.assert_series_equal(again, split)


def test_species_of_many_groups_stay_where_their_hash_puts_them():
    many = bursts({"ant": [1] * 400, "bee": [1, 2] * 150})
    few = bursts({"owl": [10, 10, 7, 7], "fox": [5, 5, 5]}, seed=1)
    both = pd.concat([many, few], ignore_index=True)
    alone = assignment.assign(many, 0.7, 0.15, 0)
    assert assignment.assign(both, 0.7, 0.15, 0)[: len(many)].equals(alone)
    place = np.array([stratified_groups.place(0, group) for group in many["group"]])
    by_place = np.array(assignment.SPLITS)[np.searchsorted([0.7, 0.85], place, side="right")]
    assert (alone == by_place).mean() > 0.95


def test_real_camera_traps_come_as_near_as_whole_bursts_can(photos_folder):
    document = json.loads((photos_folder("camtrap20") / "metadata.json").read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    kind = {a["image_id"]: names[a["category_id"]] for a in document["annotations"]}
    rows = [(image["id"], kind[image["id"]], image["seq_id"]) for image in document["images"]]
    manifest = pd.DataFrame(rows, columns=["photo", "species", "group"])
    manifest = manifest[manifest["species"] != "empty"]
    mixed = manifest.groupby("group")["species"].transform("nunique") > 1
    manifest = manifest[~mixed].reset_index(drop=True)
    split = assignment.assign(manifest, 0.7, 0.15, 0)
    held = counted(manifest, split)
    sizes = manifest.groupby("species")["group"].agg(lambda g: g.value_counts().tolist())
    sizes = sizes[sizes.map(len) >= 3]
    assert len(sizes) > 15
    assert held.loc[sizes.index].to_numpy().all()
    off = np.abs(held - np.outer(held.sum(axis=1), SHARES)).sum(axis=1) / 2
    best = sizes.map(fewest_off)
    assert off[sizes.index].sum() <= best.sum() + 1e-6


def with_blanks(manifest, number):
    """Adds so many blank photos to each group."""
    rows = [(f"{group}/{i}", "blank", group) for group, n in number.items() for i in range(int(n))]
    return pd.concat([manifest, pd.DataFrame(rows, columns=manifest.columns)], ignore_index=True)


def test_blank_photos_of_bursts_do_not_cost_the_animals_their_shares():
    """Bursts of 1 to 20 blank photos beside those of an animal."""
    sizes = {"fox": [10, 8, 6, 4], "deer": [9, 9, 3, 2], "lynx": [7, 5, 5, 4, 1]}
    animals = bursts(sizes)
    groups = animals["group"].unique()
    number = np.random.default_rng(1).integers(1, 21, len(groups))
    manifest = with_blanks(animals, dict(zip(groups, number, strict=True)))
    split = assignment.assign(manifest, 0.7, 0.15, 0)
    assert split.groupby(manifest["group"]).nunique().eq(1).all()
    held = counted(manifest, split)
    assert held.to_numpy().all()
    off = np.abs(held - np.outer(held.sum(axis=1), SHARES)).sum(axis=1) / 2
    for species, each in sizes.items():
        assert off[species] == pytest.approx(fewest_off(each))


def test_blank_photos_are_in_every_split_even_so():
    """Three bursts have one, and without it all of these would train."""
    animals = bursts({"deer": [1] * 30})
    training = animals["group"][assignment.assign(animals, 0.7, 0.15, 0) == "train"]
    manifest = with_blanks(animals, dict.fromkeys(training[:3], 1))
    split = assignment.assign(manifest, 0.7, 0.15, 0)
    assert counted(manifest, split).loc["blank"].tolist() == [1, 1, 1]


def cameras(photos=900):
    """Cameras of uneven activity over a year, each with several species, in bursts of three."""
    rng = np.random.default_rng(2)
    burst = np.arange(photos) // 3
    camera = rng.choice(9, photos, p=rng.dirichlet(np.full(9, 0.8)))[burst]
    hours = np.sort(rng.integers(0, 8760, photos))
    table = pd.DataFrame(
        {
            "photo": [rng.bytes(8).hex() for _ in range(photos)],
            "species": [f"s{(c * 5 + b) % 4}" for c, b in zip(camera, burst, strict=True)],
            "location": [f"camera {c}" for c in camera],
            "taken_at": [
                (pd.Timestamp("2024-01-01") + pd.Timedelta(h, "h")).isoformat() for h in hours
            ],
        }
    )
    table["path"] = table["photo"] + ".jpg"
    table["group"] = table["photo"].groupby(burst).transform("first")
    return table


def test_by_location_few_cameras_come_as_near_as_all_assignments():
    manifest = cameras()
    split = assignment.assign(manifest, 0.7, 0.15, 0, "location")
    assert (split.groupby(manifest["location"]).nunique() == 1).all()
    counts = pd.crosstab(manifest["location"], manifest["species"]).to_numpy()
    wanted = np.outer(SHARES, counts.sum(axis=0))
    best = np.inf
    for part in itertools.product(range(3), repeat=len(counts)):
        held = np.stack([counts[np.array(part) == p].sum(axis=0) for p in range(3)])
        if held.all():
            best = min(best, np.abs(held - wanted).sum() / 2)
    held = counted(manifest, split)
    assert held.to_numpy().all()
    off = np.abs(held.to_numpy().T - wanted).sum() / 2
    assert off <= best + 0.01 * len(manifest), f"{off} photos are off, and {best} could be"


@pytest.mark.parametrize(("by", "column"), [("location", "location"), ("time", "taken_at")])
def test_photos_without_what_the_split_goes_by_are_left_out_and_said(by, column):
    manifest = cameras()
    lacking = manifest.index[300:306]  # two bursts, and of a third one photo
    manifest.loc[[*lacking, 600], column] = None
    split = assignment.assign(manifest, 0.7, 0.15, 0, by)
    assert split.index[split.isna()].tolist() == lacking.tolist()
    assert split[600] == split[601], "its burst says where it belongs"
    left_out = report.left_out(manifest, split)
    assert set(left_out["reason"]) == {"unplaced"}
    assert sorted(left_out["path"]) == sorted(manifest["path"][lacking])


def test_species_of_which_no_photo_has_a_time_is_trained_on():
    manifest = cameras()
    manifest.loc[300:302, "taken_at"] = None
    manifest.loc[300:302, "species"] = "lynx"
    split = assignment.assign(manifest, 0.7, 0.15, 0, "time")
    assert (split[manifest["species"] == "lynx"] == "train").all()
    assert split.notna().all()


@pytest.mark.parametrize(("by", "column"), [("location", "location"), ("time", "taken_at")])
def test_most_photos_without_what_the_split_goes_by_stop_the_run(by, column):
    manifest = cameras()
    manifest.loc[: len(manifest) // 2 + 5, column] = None
    with pytest.raises(UserError, match=f"split.by is {by}, but .* of 900 photos have no {by}"):
        assignment.assign(manifest, 0.7, 0.15, 0, by)


def test_by_time_shares_of_all_photos_are_close_even_where_species_come_one_after_another():
    manifest = cameras()
    manifest["species"] = np.repeat(["s0", "s1", "s2"], [500, 280, 120])
    split = assignment.assign(manifest, 0.7, 0.15, 0, "time")
    shares = split.value_counts(normalize=True)
    assert np.abs(shares[list(assignment.SPLITS)] - SHARES).max() < 0.07


def test_by_time_a_species_that_comes_late_still_trains():
    manifest = cameras()
    manifest["species"] = np.where(manifest.index < 690, "owl", "fox")
    manifest.loc[::7, "species"] = "owl"
    split = assignment.assign(manifest, 0.7, 0.15, 0, "time")
    assert (split[manifest["species"] == "fox"] == "train").any()
    shares = split.value_counts(normalize=True)
    assert shares["train"] < 0.82 and min(shares["validation"], shares["test"]) > 0.08
    times = manifest["taken_at"].groupby(split)
    assert times.max()["train"] <= times.min()["validation"]


def test_what_could_not_be_had_is_said():
    manifest = bursts({"owl": [10, 10, 10, 10], "fox": [6, 6], "ant": [1] * 100})
    split = assignment.assign(manifest, 0.7, 0.15, 0)
    balance = report.balance(manifest.assign(unit=manifest["group"], split=split), 0.7, 0.15)
    owl = balance[balance["species"] == "owl"].set_index("split")
    assert owl["photos"].to_dict() == {"train": 20, "validation": 10, "test": 10}
    assert owl["wanted"].to_dict() == {"train": 28, "validation": 6, "test": 6}
    assert owl["units"].tolist() == [2, 1, 1]
    assert owl["units_in_all"].eq(4).all()
    said = report.shortfalls(balance)
    assert "owl 20% (of 4)" in said
    assert "validation has no photos of: fox (of 2)" in said
    assert "ant" not in said
