"""Which photos to learn from, which to choose by, and which to be tested on."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.core.errors import UserError
from pipeline.dataset import stratified_groups

By = Literal["group", "location", "time"]
SPLITS = ("train", "validation", "test")
_SLACK = 0.02
_ENOUGH = 5000  # validation photos: a standard error of 0.003 at an accuracy of 0.95


def assign(
    manifest: pd.DataFrame,
    train: float,
    validation: float,
    seed: int,
    by: By = "group",
    respect_given: bool = True,
) -> pd.Series:
    """Splits photos so that what belongs together stays together and species keep their shares.

    By `group`, each group of near-duplicates has a fixed place in [0, 1), the hash of its name and
    the seed, and the places below `train` are the training split, and so on. Places alone would
    leave the shares of a small species to chance, so a group's place may differ from its rank among
    the groups of its species by at most 0.02. Chance decides inside that slack, and there other
    photos that come or go move nothing.

    By `location`, all photos of a camera (and of every camera that shares a group with it) stay
    together, dealt out by `stratified_groups.deal`. By `time`, the groups stand in the order of
    their last photos and are cut at the two moments that leave the species' shares nearest to those
    asked.

    Where the collection came split, a photo that is to be tested or validated by is, the missing
    ones of the three splits are carved out of what is to be trained on, and of a group in several
    splits the copies that a later split tests are left out of the earlier one.

    Args:
        manifest: With columns photo, species and group; location, taken_at and split_hint where
            they are asked for.
        train: Share of the training split, 0 to 1.
        validation: Share of the validation split; the rest is for the test.
        seed: Another seed gives another split.
        by: What may not be in two splits. Defaults to `group`.
        respect_given: Whether photos whose `split_hint` says so stay there. Defaults to true.

    Returns:
        For each row `train`, `validation`, `test`, or null where a photo is left out. A species of
        at least three groups of its own is in all (not by time, nor where the collection came
        split); groups of several species go with the most common.

    Raises:
        UserError: Photos have no location, or no time, that `by` needs; or the collection came
            split with a camera in several splits.
    """
    shares = dict(zip(SPLITS, (train, validation, 1 - train - validation), strict=True))
    given = pd.Series(None, index=manifest.index, dtype="str")
    if respect_given and "split_hint" in manifest:
        given = manifest["split_hint"]
    split = given.fillna("train").rename("split")
    number = split.map(SPLITS.index)
    split[number < number.groupby(manifest["group"]).transform("max")] = None
    carved = ["train"] + [name for name in SPLITS[1:] if name not in set(given.dropna())]
    pool = manifest[split == "train"]
    if len(pool) and len(carved) > 1:
        table = pool.assign(unit=units(pool, by))
        asked = np.array([shares[name] for name in carved])
        split[pool.index] = np.array(carved)[_METHODS[by](table, asked / asked.sum(), seed)]
    if by == "location" and (astride := cameras_astride(manifest, split)):
        raise UserError(
            f"the collection came split with {astride} cameras in several splits, and split.by is "
            "location; set split.respect_given: false, or split.by: group"
        )
    return split


def folds(manifest: pd.DataFrame, by: By, number: int, seed: int) -> np.ndarray:
    """Deals photos out to folds of one size, for cross-validation.

    Args:
        manifest: As for `assign`.
        by: What may not be in two folds. By `time`, folds are stretches of time.
        number: How many folds, 2 or more.
        seed: Another seed gives other folds; not by time.

    Returns:
        The fold of each photo, int (n,), 0 to `number` - 1.

    Raises:
        UserError: Photos have no location, or no time, that `by` needs.
    """
    unit = units(manifest, by)
    if by != "time":
        return stratified_groups.deal(unit, manifest["species"], [1 / number] * number, seed)
    table = _in_time(manifest.assign(unit=unit))
    size = table.groupby("unit", sort=False)["photo"].size()
    fold = (size.cumsum() - size / 2) * number // len(table)
    return unit.map(fold).astype("int64").to_numpy()


def folds_to_learn(
    manifest: pd.DataFrame, by: By, number: int, seed: int, respect_given: bool = True
) -> pd.Series:
    """Deals the photos of the training and validation splits out to folds.

    Args:
        manifest: As for `assign`, with what it gave as split.
        by: As for `assign`.
        number: How many folds; of 1 there are none.
        seed: Another seed gives other folds.
        respect_given: As for `assign`.

    Returns:
        The fold of each photo, 0 to `number` - 1, as Int64. Null for test photos, and for all where
        validation photos are not like the others and must stay apart (by time they are younger,
        and a collection that came with them has its reasons) or are so many that they tell enough.
    """
    fold = pd.Series(pd.NA, index=manifest.index, dtype="Int64", name="fold")
    known = manifest[manifest["split"] != "test"]
    given = respect_given and "split_hint" in known and (known["split_hint"] == "validation").any()
    enough = (known["split"] == "validation").sum() >= _ENOUGH
    if number > 1 and by != "time" and not given and not enough:
        fold[known.index] = folds(known, by, number, seed)
    return fold


def units(manifest: pd.DataFrame, by: By) -> pd.Series:
    """What may not be cut: each photo's group, or the groups and cameras that hang together.

    Raises:
        UserError: Photos have no location, or no time, that `by` needs.
    """
    column = {"location": "location", "time": "taken_at"}.get(by)
    if column is not None and (lacking := manifest[column].isna()).any():
        raise UserError(
            f"split.by is {by}, but {lacking.sum():,} of {len(manifest):,} photos have no {by}, "
            f"such as {manifest['path'][lacking].iloc[0]}; give every photo one in the "
            "collection's metadata, or set split.by: group"
        )
    if by != "location":
        return manifest["group"].rename("unit")
    group, names = pd.factorize(manifest["group"])
    camera, cameras = pd.factorize(manifest["location"])
    nodes = len(names) + len(cameras)
    links = coo_array((np.ones(len(group), bool), (group, len(names) + camera)), (nodes, nodes))
    together = connected_components(links, directed=False)[1][group]
    return manifest["group"].groupby(together).transform("min").rename("unit")


def cameras_astride(manifest: pd.DataFrame, split: pd.Series) -> int:
    """Counts locations with photos in several splits."""
    return int((split.groupby(manifest["location"]).nunique() > 1).sum())


def _by_place(table: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    counts = table.groupby(["unit", "species"]).size().reset_index(name="photos")
    counts = counts.sort_values(["photos", "species"], ascending=[False, True])
    groups = counts.groupby("unit").agg(species=("species", "first"), photos=("photos", "sum"))
    groups["place"] = [stratified_groups.place(seed, name) for name in groups.index]
    groups = groups.sort_values("place")
    part = pd.Series(0, index=groups.index)
    last = len(shares) - 1
    for _, rows in groups.groupby("species"):
        rank = (rows["photos"].cumsum() - rows["photos"] / 2) / rows["photos"].sum()
        near = rows["place"].clip(rank - _SLACK, rank + _SLACK)
        number = np.searchsorted(np.cumsum(shares)[:-1], near, side="right")
        # Whatever the shares: a species is trained, tested if it can be, then validated.
        number[0] = 0
        if len(rows) > 1:
            number[-1] = last
        if len(rows) > 2 and last == 2 and 1 not in number:
            number[-2] = 1
        part[rows.index] = number
    return table["unit"].map(part).to_numpy()


def _by_location(table: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    return stratified_groups.deal(table["unit"], table["species"], shares, seed)


def _by_time(table: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    ordered = _in_time(table)
    species = ordered.groupby("species")["photo"]
    before, size = species.cumcount(), species.transform("size")
    whole = ordered["unit"] != ordered["unit"].shift(-1)
    part = pd.Series(0, index=ordered.index)
    for share in np.cumsum(shares)[:-1]:
        # By how many photos the species miss their shares if the cut is behind this photo.
        missed = ((before + 1 - share * size).abs() - (before - share * size).abs()).cumsum()
        part.iloc[missed.round(6).where(whole).argmin() + 1 :] += 1
    return part[table.index].to_numpy()


def _in_time(table: pd.DataFrame) -> pd.DataFrame:
    """The photos, unit by unit, in the order of each unit's last photo."""
    last = table["taken_at"].groupby(table["unit"]).transform("max")
    return table.assign(last=last).sort_values(["last", "unit", "photo"])


_METHODS: dict[By, Callable[[pd.DataFrame, np.ndarray, int], np.ndarray]] = {
    "group": _by_place,
    "location": _by_location,
    "time": _by_time,
}
