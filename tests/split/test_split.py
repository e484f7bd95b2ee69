import csv
import itertools

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates
from pipeline.inference import decoding
from pipeline.split import assignment, report

SHARES = {"train": 0.60, "validation": 0.25, "test": 0.15}


def made(species=13, seed=0, grouped=True):
    """A manifest of content that never was: 60 photos of the first species, 20 more of each next
    one; of seven photos two are in a group and three in another."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat([f"s{i}" for i in range(species)], 60 + 20 * np.arange(species))
    names = [decoding.identity(rng.bytes(8)) for _ in kinds]
    table = pd.DataFrame({"photo": names, "species": kinds})
    table["group"] = table["photo"]
    if grouped:
        first = table.index.to_series() - np.array([0, 0, 0, 1, 0, 1, 2])[table.index % 7]
        same = table["species"] == table["species"][first].to_numpy()
        table["group"] = np.where(same, table["photo"][first], table["photo"])
    return table


def assign(manifest, seed=0, train=0.6, validation=0.25):
    return assignment.assign(manifest, train, validation, seed)


@pytest.fixture(scope="module")
def manifest():
    return made()


@pytest.fixture(scope="module")
def real(photos_folder):
    """main13 by the content of its files, with its known near-duplicate groups."""
    folder, table = photos_folder("main13"), photos_folder("main13.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    frame = pd.DataFrame(
        {
            "photo": [decoding.identity((folder / row["path"]).read_bytes()) for row in rows],
            "species": [row["label"] for row in rows],
            "number": [row["near_dup_group"] for row in rows],
        }
    )
    frame["group"] = frame.groupby("number")["photo"].transform("min")
    return frame.drop_duplicates("photo").reset_index(drop=True)


def fine(manifest, split):
    """Checks what must hold of every split."""
    assert split.index.equals(manifest.index)
    assert set(split) <= set(assignment.SPLITS)
    assert split.groupby(manifest["group"]).nunique().max() == 1
    sizes = manifest.groupby("group").size()
    for name, rows in manifest.groupby("species"):
        shares = split[rows.index].value_counts(normalize=True)
        largest = sizes[rows["group"]].max() / len(rows)
        for one, wanted in SHARES.items():
            # A border is off by the slack, and by half of the group that lies across it.
            assert abs(shares.get(one, 0) - wanted) <= 2 * (0.02 + largest), (name, one)


def test_groups_stay_together_and_species_keep_their_shares(manifest):
    fine(manifest, assign(manifest))


def test_shares_of_the_whole_are_close(manifest):
    shares = assign(manifest).value_counts(normalize=True)
    for name, wanted in SHARES.items():
        assert abs(shares[name] - wanted) < 0.02


def test_real_photos_are_split_the_same_way(real):
    fine(real, assign(real))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "ratios", [(0.7, 0.15), (0.98, 0.01), (0.34, 0.33), (0.1, 0.1), (0.2, 0.4), (0.05, 0.9)]
)
def test_species_of_three_groups_or_more_is_in_all_splits(ratios, seed):
    rng = np.random.default_rng(seed)
    groups = [
        [1] * 3,
        [1] * 4,
        [10, 1, 1],
        [1, 10, 1],
        [1, 1, 10],
        [2] * 7,
        [30, 1, 1, 1],
        [1] * 20,
    ]
    rows = [
        (decoding.identity(rng.bytes(8)), f"s{number}", f"{seed}-{number}-{i}")
        for number, sizes in enumerate(groups)
        for i, size in enumerate(sizes)
        for _ in range(size)
    ]
    manifest = pd.DataFrame(rows, columns=["photo", "species", "group"])
    split = assign(manifest, seed, *ratios)
    for number, sizes in enumerate(groups):
        assert set(split[manifest["species"] == f"s{number}"]) == set(assignment.SPLITS), sizes


@pytest.mark.parametrize("groups", [1, 2])
def test_species_of_fewer_groups_is_split_without_complaint(groups):
    rows = [(f"p{i}", "cat", f"g{i % groups}") for i in range(12)]
    split = assign(pd.DataFrame(rows, columns=["photo", "species", "group"]))
    assert split.isin(assignment.SPLITS).all()


def moved(manifest, without):
    """Share of the photos that stand elsewhere once those of `without` are there too."""
    before = manifest.drop(index=without)
    after = assign(manifest)[before.index]
    return (assign(before) != after).mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_new_photos_hardly_move_old_ones(seed):
    manifest = made(seed=seed, grouped=False)
    new = np.random.default_rng(seed).choice(len(manifest), len(manifest) // 11, replace=False)
    assert moved(manifest, new) < 0.02


@pytest.mark.slow
def test_slack_keeps_photos_where_they_are(monkeypatch):
    def share():
        made_anew = [made(seed=seed, grouped=False) for seed in range(3)]
        return np.mean([moved(manifest, manifest.index[::11]) for manifest in made_anew])

    with_slack = share()
    monkeypatch.setattr(assignment, "_SLACK", 0.0)
    assert with_slack < 0.75 * share()


def test_new_real_photos_hardly_move_old_ones(real):
    groups = real["group"].drop_duplicates().sample(frac=1 / 11, random_state=0)
    assert moved(real, real.index[real["group"].isin(groups)]) < 0.02


def test_other_seed_gives_another_split(manifest):
    one, other = assign(manifest), assign(manifest, seed=1)
    assert 0.3 < (one != other).mean() < 0.7  # 0.46 by chance


def test_order_of_the_rows_does_not_matter(manifest):
    shuffled = manifest.sample(frac=1, random_state=0)
    pd.testing.assert_series_equal(assign(shuffled).sort_index(), assign(manifest))


def test_photos_of_one_species_do_not_move_those_of_another(manifest):
    alone = manifest[manifest["species"] == "s3"]
    assert assign(alone).equals(assign(manifest)[alone.index])


def brute_leaks(hashes, split, bits):
    pairs = itertools.combinations(range(len(hashes)), 2)
    return sum(
        split[i] != split[j] and (int(hashes[i]) ^ int(hashes[j])).bit_count() <= bits
        for i, j in pairs
    )


def test_leaks_are_counted_in_pairs():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 60, dtype=np.uint64)
    hashes[10:20] = hashes[0]  # equal
    hashes[20:30] = hashes[1] ^ np.uint64(0b10011)  # near
    hashes[30:34] = hashes[1] ^ np.uint64(1 << 63)
    split = pd.Series(rng.choice(list(assignment.SPLITS), 60))
    for bits in (0, 1, 3, 6):
        assert report.leaks(hashes, split, bits) == brute_leaks(hashes, split, bits) > 0


def test_one_planted_leak_is_found():
    hashes = np.array([1 << 40, 0xFFFF << 48, (1 << 40) ^ 7], dtype=np.uint64)
    leaky, clean = pd.Series(["train", "train", "test"]), pd.Series(["train", "test", "train"])
    assert report.leaks(hashes, leaky, 3) == 1
    assert report.leaks(hashes, leaky, 2) == 0
    assert report.leaks(hashes, clean, 3) == 0


def test_grouped_photos_never_leak():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 400, dtype=np.uint64)
    hashes[200:] = hashes[:200] ^ np.uint64(0b1011)
    numbers = near_duplicates.groups(hashes, 6)
    table = pd.DataFrame(
        {"photo": [decoding.identity(bytes([i % 256, i // 256])) for i in range(400)]}
    )
    table["species"] = np.where(np.arange(400) % 200 < 90, "cat", "owl")
    table["group"] = table["photo"].groupby(numbers).transform("min")
    split = assign(table)
    assert report.leaks(hashes, split, 6) == 0
    apart = assign(table.assign(group=table["photo"]))
    assert report.leaks(hashes, apart, 6) > 20


def test_count_has_a_row_a_species_and_one_for_all(manifest):
    split = assign(manifest)
    counts = report.count(manifest.assign(split=split)).set_index("species")
    assert counts.loc["(all)", list(assignment.SPLITS)].sum() == len(manifest)
    for name, size in manifest["species"].value_counts().items():
        for one in assignment.SPLITS:
            chosen = ((split == one) & (manifest["species"] == name)).sum()
            assert counts.loc[name, one] == chosen
            assert counts.loc[name, f"{one}_share"] == pytest.approx(chosen / size, abs=6e-4)
    assert counts.filter(like="_share").sum(axis=1).sub(1).abs().max() < 0.002


def test_a_split_without_photos_is_counted_too():
    table = pd.DataFrame({"species": ["ant"] * 3, "split": ["test", "train", "train"]})
    counts = report.count(table).set_index("species")
    shares = {"train_share": 0.667, "validation_share": 0, "test_share": 0.333}
    assert counts.loc["ant"].to_dict() == {"train": 2, "validation": 0, "test": 1} | shares


def test_a_split_that_cannot_be_learned_from_names_what_is_missing():
    table = pd.DataFrame({"species": ["ant", "bee", "ant"], "split": ["train", "test", "test"]})
    with pytest.raises(UserError, match="no photos are left for validation"):
        report.require(table)
    table.loc[3] = "cat", "test"
    table["split"] = ["train", "test", "validation", "test"]
    with pytest.raises(UserError, match="no training photos of bee, cat: "):
        report.require(table)


def observed(seed=0, cameras=40, photos=1500):
    """Photos of cameras over a year; each camera sees some species, bursts of three are groups."""
    rng = np.random.default_rng(seed)
    burst = np.arange(photos) // 3
    camera = rng.integers(0, cameras, photos)[burst]
    hour = np.sort(rng.integers(0, 365 * 24, photos))[burst * 3]
    table = pd.DataFrame(
        {
            "photo": [photos_.hex() for photos_ in (rng.bytes(16) for _ in range(photos))],
            "species": [f"s{(c * 7 + k) % 6}" for c, k in zip(camera, burst % 3, strict=True)],
            "location": [f"camera {c}" for c in camera],
            "taken_at": [
                (pd.Timestamp("2024-01-01") + pd.Timedelta(h, "h")).isoformat() for h in hour
            ],
        }
    )
    table["path"] = table["photo"] + ".jpg"
    table["group"] = table["photo"].groupby(burst).transform("min")
    return table


def cameras_astride(manifest, split):
    places = zip(manifest["location"], split, strict=True)
    held = pd.Series([camera for camera, _ in set(places)])
    return held[held.duplicated()].nunique()


def test_by_location_no_camera_is_in_two_splits():
    manifest = observed()
    split = assignment.assign(manifest, 0.6, 0.25, 0, "location")
    assert cameras_astride(manifest, split) == 0
    assert cameras_astride(manifest, assign(manifest)) > 30
    shares = split.value_counts(normalize=True)
    assert all(abs(shares[name] - wanted) < 0.02 for name, wanted in SHARES.items())


def test_by_location_cameras_that_share_a_group_stay_together():
    manifest = observed(cameras=12)
    for one, other in ((0, 1), (1, 2), (5, 6)):
        first, second = (
            manifest.index[manifest["location"] == f"camera {c}"][0] for c in (one, other)
        )
        same = manifest["group"] == manifest["group"][second]
        manifest.loc[same, "group"] = manifest["group"][first]
    split = assignment.assign(manifest, 0.5, 0.25, 0, "location")
    where = split.groupby(manifest["location"]).unique()
    assert where.map(len).max() == 1
    assert where["camera 0"] == where["camera 1"] == where["camera 2"]
    assert split.groupby(manifest["group"]).nunique().max() == 1
    assert assignment.units(manifest, "location").nunique() == 12 - 3


def test_by_time_training_is_the_past():
    manifest = observed()
    split = assignment.assign(manifest, 0.6, 0.25, 0, "time")
    times = manifest["taken_at"].groupby(split)
    assert times.max()["train"] <= times.min()["validation"]
    assert times.max()["validation"] <= times.min()["test"]
    fine(manifest.assign(species="any"), split)


def test_by_time_the_cut_is_where_species_are_nearest_to_their_shares():
    days = [f"2024-01-{day:02d}" for day in range(1, 21)]
    table = pd.DataFrame({"photo": [f"{i:02d}" for i in range(20)], "taken_at": days})
    table["group"], table["path"] = table["photo"], table["photo"]
    # 12 owls at first, then 8 ants: after 12 owls and 4 ants both have the nearest to half of each.
    table["species"] = ["owl"] * 6 + ["ant"] * 4 + ["owl"] * 6 + ["ant"] * 4
    split = assignment.assign(table, 0.5, 0.25, 0, "time")
    assert split.tolist().count("train") == 10
    counts = pd.crosstab(table["species"], split)
    assert counts["train"].to_dict() == {"ant": 4, "owl": 6}


def test_by_time_groups_stay_whole_and_go_with_their_last_photo():
    manifest = observed()
    early, late = manifest.index[3], manifest.index[-1]
    manifest.loc[manifest["group"] == manifest["group"][early], "group"] = manifest["group"][late]
    split = assignment.assign(manifest, 0.6, 0.25, 0, "time")
    assert split[early] == split[late] == "test"
    assert split.groupby(manifest["group"]).nunique().max() == 1


def test_given_splits_are_kept():
    manifest = made()
    hints = assign(manifest, seed=5)
    split = assign(manifest.assign(split_hint=hints))
    assert split.equals(hints)
    anew = assignment.assign(manifest.assign(split_hint=hints), 0.6, 0.25, 0, "group", False)
    assert anew.equals(assign(manifest))


@pytest.mark.parametrize("by", ["group", "location", "time"])
@pytest.mark.parametrize("missing", ["validation", "test"])
def test_what_is_missing_of_given_splits_is_carved_out_of_train(missing, by):
    manifest = observed()
    held = {"validation": "test", "test": "validation"}[missing]
    unit = assignment.units(manifest, by)
    hints = pd.Series("train", index=manifest.index)
    hints[unit.isin(np.sort(unit.unique())[::5])] = held
    split = assignment.assign(manifest.assign(split_hint=hints), 0.6, 0.25, 0, by)
    assert (split[hints == held] == held).all()
    assert set(split[hints == "train"]) == {"train", missing}
    assert split.groupby(unit).nunique().max() == 1
    share = (split[hints == "train"] == missing).mean()
    assert abs(share - SHARES[missing] / (SHARES["train"] + SHARES[missing])) < 0.03


def test_photos_without_a_given_split_are_trained_on():
    manifest = made()
    hints = assign(manifest, seed=5).where(np.arange(len(manifest)) % 10 != 0)
    hints[manifest["group"].duplicated(keep=False)] = "train"
    split = assign(manifest.assign(split_hint=hints))
    assert (split[hints.isna()] == "train").all()


def test_of_twins_in_given_splits_the_later_one_is_kept():
    rows = [
        ("a", "train", "1"),
        ("b", "test", "1"),
        ("c", "train", "2"),
        ("d", "validation", "2"),
        ("e", "validation", "3"),
        ("f", "test", "3"),
        ("g", "train", "4"),
        ("h", "train", "4"),
    ]
    manifest = pd.DataFrame(rows, columns=["photo", "split_hint", "group"])
    manifest["species"], manifest["path"] = "owl", manifest["photo"] + ".jpg"
    split = assign(manifest)
    assert split.dropna().tolist() == ["test", "validation", "test", "train", "train"]
    left_out = report.left_out(manifest, split)
    assert left_out.to_numpy().tolist() == [
        ["a.jpg", "owl", "train", "test", "twin"],
        ["c.jpg", "owl", "train", "validation", "twin"],
        ["e.jpg", "owl", "validation", "test", "twin"],
    ]


def test_given_splits_that_share_cameras_contradict_a_split_by_location():
    manifest = observed()
    manifest["split_hint"] = assign(manifest)
    with pytest.raises(UserError, match="cameras in several splits"):
        assignment.assign(manifest, 0.6, 0.25, 0, "location")


@pytest.mark.parametrize("by", ["group", "location", "time"])
def test_folds_keep_whole_what_may_not_be_cut(by):
    manifest = observed()
    fold = assignment.folds(manifest, by, 5, 0)
    assert set(fold) == {0, 1, 2, 3, 4}
    assert pd.Series(fold).groupby(assignment.units(manifest, by)).nunique().max() == 1
    assert np.ptp(np.bincount(fold)) < 60
    if by == "time":
        assert (np.diff(fold[np.argsort(manifest["taken_at"], kind="stable")]) >= 0).all()


def learned(manifest, **more):
    """A manifest that is split, and the folds of the photos to learn from."""
    manifest = manifest.assign(split=assign(manifest.drop(columns="split_hint", errors="ignore")))
    settings = {"by": "group", "number": 4, "seed": 0} | more
    return manifest, assignment.folds_to_learn(manifest, **settings)


def test_folds_are_of_training_and_validation_photos_and_groups_stay_whole():
    manifest, fold = learned(observed())
    assert fold.isna().equals(manifest["split"] == "test"), "test photos are learned from"
    assert set(fold.dropna()) == {0, 1, 2, 3}
    assert fold.groupby(manifest["group"]).nunique().max() == 1
    sizes = fold.value_counts(normalize=True)
    assert sizes.min() > 0.23
    assert sizes.max() < 0.27
    assert not learned(observed(), seed=1)[1].equals(fold), "the seed is ignored"


def test_folds_by_location_keep_cameras_whole():
    manifest, by_group = learned(observed())
    _, fold = learned(observed(), by="location")
    known = manifest["split"] != "test"
    unit = assignment.units(manifest[known], "location")
    assert fold[known].groupby(unit).nunique().max() == 1
    assert by_group[known].groupby(unit).nunique().max() > 1


def test_there_are_no_folds_where_validation_photos_must_stay_apart(monkeypatch):
    manifest = observed()
    assert learned(manifest, by="time")[1].isna().all()
    assert learned(manifest, number=1)[1].isna().all()
    hints = pd.Series("train", index=manifest.index)
    hints[::9] = "test"
    assert learned(manifest.assign(split_hint=hints))[1].notna().any()
    hints[::7] = "validation"
    came_split = manifest.assign(split_hint=hints)
    assert learned(came_split)[1].isna().all(), "given validation photos are learned from"
    assert learned(came_split, respect_given=False)[1].notna().any()
    validation = (learned(manifest)[0]["split"] == "validation").sum()
    for enough, folded in ((validation + 1, True), (validation, False)):
        monkeypatch.setattr(assignment, "_ENOUGH", enough)
        assert learned(manifest)[1].notna().any() == folded
