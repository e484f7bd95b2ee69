"""Assigns photos to training, validation and test."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates, stratified_groups
from pipeline.inference.pooling import BLANK

By = Literal["group", "location", "time"]
SPLITS: tuple[str, ...] = ("train", "validation", "test")
_SLACK = 0.02
_CUT_SLACK = 0.03  # of all photos, around a cut in time: inside it, species decide
_MOST_LACKING = 0.5  # of photos without the column of `split.by`; above it, little would be left
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
    photos that come or go move nothing. Species of few groups, whose shares are missed all the
    same, are assigned anew by `stratified_groups.settle`.

    By `location`, all photos of a camera (and of every camera that shares a group with it) stay
    together, assigned by `stratified_groups.settle`. By `time`, the groups stand in the order of
    their last photos and are cut at the two moments that leave the species' shares nearest to those
    wanted, within 3 % of all photos around the moments that leave all photos' shares right.

    Blank photos of a group that holds animals follow these and do not count.

    Where the collection came split, a photo that is to be tested or validated by is, the missing
    ones of the three splits are carved out of what is to be trained on, and of a group in several
    splits the copies that a later split tests are left out of the earlier one.

    A photo without a location or a time that `by` needs, and whose group has none, is left out: it
    may show the camera or the days of any split, and leak. Where no photo of its species has one,
    it trains, for nothing of that species is tested.

    Args:
        manifest: With columns photo, species and group; location, taken_at and split_hint where
            they are needed.
        train: Share of the training split, 0 to 1.
        validation: Share of the validation split; the rest is for the test.
        seed: Another seed gives another split.
        by: What may not be in two splits. Defaults to `group`.
        respect_given: Whether photos whose `split_hint` says so stay there. Defaults to true.

    Returns:
        For each row `train`, `validation`, `test`, or null where a photo is left out. A species of
        at least three groups is in all (not by time, nor where the collection came split), as far
        as the other species in its groups allow.

    Raises:
        UserError: Over half of the photos have no location, or no time, that `by` needs; or the
            collection came split with a camera in several splits.
    """
    shares = dict(zip(SPLITS, (train, validation, 1 - train - validation), strict=True))
    given = _given(manifest, respect_given)
    split = given.fillna("train").rename("split")
    number = split.map(SPLITS.index)
    split[number < number.groupby(manifest["group"]).transform("max")] = None
    carved = ["train"] + [name for name in SPLITS[1:] if name not in set(given.dropna())]
    if (split == "train").any() and len(carved) > 1:
        split = _carve(manifest, split, {name: shares[name] for name in carved}, by, seed)
    if by == "location":
        _require_cameras_apart(manifest, split)
    return split


def _given(manifest: pd.DataFrame, respect_given: bool) -> pd.Series:
    """Returns the split that each photo came with; null if it has none or it is not respected."""
    if respect_given and "split_hint" in manifest:
        return manifest["split_hint"]
    return pd.Series(None, index=manifest.index, dtype="str")


def _require_cameras_apart(manifest: pd.DataFrame, split: pd.Series) -> None:
    """Checks that no camera has photos in several splits.

    Raises:
        UserError: Some have; the message gives their number.
    """
    if astride := int((split.groupby(manifest["location"]).nunique() > 1).sum()):
        raise UserError(
            f"the collection came split with {astride} cameras in several splits, and split.by is "
            "location; set split.respect_given: false, or split.by: group"
        )


def _carve(
    manifest: pd.DataFrame, split: pd.Series, shares: dict[str, float], by: By, seed: int
) -> pd.Series:
    """Carves splits out of the training photos.

    Args:
        manifest: The photos.
        split: The split of each photo; null for one that is left out.
        shares: Of the splits to carve out, by name, `train` among them.
        by: The column that may not be divided among splits.
        seed: Another seed gives another split.

    Returns:
        The split of each photo. Photos without a location or a time that `by` needs are null.
    """
    split, pool = split.copy(), manifest[split == "train"]
    unplaced = pool.index[_unplaced(pool, by)]
    pool = pool.drop(index=unplaced)
    others = manifest["species"].drop(index=unplaced)
    split[unplaced[manifest["species"][unplaced].isin(others)]] = None
    table = pool.assign(unit=units(pool, by))
    wanted = np.array(list(shares.values()))
    part = _METHODS[by](table, wanted / wanted.sum(), seed)
    if by != "time" and (table["species"] == BLANK).any():
        animals_first = _with_blanks_behind(table, wanted / wanted.sum(), by, seed)
        if set(animals_first[table["species"] == BLANK]) == set(range(len(wanted))):
            part = animals_first
    split[pool.index] = np.array(list(shares))[part]
    return split


def _with_blanks_behind(table: pd.DataFrame, shares: np.ndarray, by: By, seed: int) -> np.ndarray:
    """Carves by the animals alone where a unit holds some; its blank photos go with them.

    Bursts hold both, and blank photos are many: counted like a species they would decide what is
    learned of each, and no score over species counts them.
    """
    is_blank = table["species"] == BLANK
    counted = table[~is_blank | is_blank.groupby(table["unit"]).transform("all")]
    part = pd.Series(_METHODS[by](counted, shares, seed), counted["unit"].to_numpy())
    return table["unit"].map(part[~part.index.duplicated()]).to_numpy()


def folds(manifest: pd.DataFrame, by: By, number: int, seed: int) -> np.ndarray:
    """Deals photos out to folds of one size, for cross-validation.

    Args:
        manifest: With columns photo, species and group; location or taken_at if `by` needs it.
        by: What may not be in two folds. By `time`, folds are stretches of time.
        number: How many folds, 2 or more.
        seed: Another seed gives other folds; not by time.

    Returns:
        The fold of each photo, int (n,), 0 to `number` - 1.
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
        manifest: With columns photo, species, group and split; location and split_hint where they
            are needed.
        by: What may not be in two folds.
        number: How many folds; with 1 there are none.
        seed: Another seed gives other folds.
        respect_given: Whether a validation split that came with the collection stays apart.
            Defaults to true.

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
    """Names each photo's unit, which may not be divided: its group, or linked groups and cameras.

    A photo without a location is linked with its group alone.
    """
    if by != "location":
        return manifest["group"].rename("unit")
    together = near_duplicates.linked(manifest["group"], manifest["location"])
    return manifest["group"].groupby(together).transform("min").rename("unit")


def _unplaced(manifest: pd.DataFrame, by: By) -> pd.Series:
    """Returns whether a photo and all of its group lack the location or time that `by` needs.

    Raises:
        UserError: That holds of more than half of the photos.
    """
    column = _COLUMNS.get(by)
    if column is None:
        return pd.Series(False, index=manifest.index)
    unplaced = manifest[column].groupby(manifest["group"]).transform("count") == 0
    if unplaced.mean() > _MOST_LACKING:
        raise UserError(
            f"split.by is {by}, but {unplaced.sum():,} of {len(manifest):,} photos have no {by}, "
            f"such as {manifest['path'][unplaced].iloc[0]}; give the photos one in the "
            "collection's metadata, or set split.by: group"
        )
    return unplaced


def _by_place(table: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    counts = table.groupby(["unit", "species"]).size().reset_index(name="photos")
    counts = counts.sort_values(["photos", "species"], ascending=[False, True])
    groups = counts.groupby("unit").agg(species=("species", "first"), photos=("photos", "sum"))
    groups["place"] = [stratified_groups.place(seed, name) for name in groups.index]
    groups = groups.sort_values("place")
    part = pd.Series(0, index=groups.index)
    for _, rows in groups.groupby("species"):
        rank = (rows["photos"].cumsum() - rows["photos"] / 2) / rows["photos"].sum()
        near = rows["place"].clip(rank - _SLACK, rank + _SLACK)
        part[rows.index] = np.searchsorted(np.cumsum(shares)[:-1], near, side="right")
    start = table["unit"].map(part).to_numpy()
    return stratified_groups.settle(table["unit"], table["species"], shares, seed, start)


def _by_location(table: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    return stratified_groups.settle(table["unit"], table["species"], shares, seed)


def _by_time(table: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    ordered = _in_time(table)
    species = ordered.groupby("species")["photo"]
    before, size = species.cumcount(), species.transform("size")
    share_before = np.arange(1, len(ordered) + 1) / len(ordered)
    ends_unit = ordered["unit"] != ordered["unit"].shift(-1)
    part = pd.Series(0, index=ordered.index)
    wanted = np.cumsum(shares)[:-1]
    # Behind this share of the photos every species has been seen once, so that it trains. The cuts
    # wait for it if that leaves half of what is to be held out.
    seen = share_before[(before == 0).to_numpy()].max()
    waits = seen > wanted[0] and 1 - seen >= (1 - wanted[0]) / 2
    start = seen if waits else wanted[0]
    for share in start + (wanted - wanted[0]) * (1 - start) / (1 - wanted[0]):
        # By how many photos the species miss their shares if the cut is behind this photo.
        missed = ((before + 1 - share * size).abs() - (before - share * size).abs()).cumsum()
        off = pd.Series(np.abs(share_before - share), ordered.index).where(ends_unit)
        if waits:
            off = off.where(share_before >= seen)
        near = off <= max(_CUT_SLACK, off.min())
        part.iloc[missed.round(6).where(near).argmin() + 1 :] += 1
    return part[table.index].to_numpy()


def _in_time(table: pd.DataFrame) -> pd.DataFrame:
    """Sorts photos unit by unit, in the order of each unit's last photo."""
    last = table["taken_at"].groupby(table["unit"]).transform("max")
    return table.assign(last=last).sort_values(["last", "unit", "photo"])


_COLUMNS = {"location": "location", "time": "taken_at"}
_METHODS: dict[By, Callable[[pd.DataFrame, np.ndarray, int], np.ndarray]] = {
    "group": _by_place,
    "location": _by_location,
    "time": _by_time,
}
