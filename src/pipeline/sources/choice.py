"""Chooses where the labels of a collection come from, or reports what a person has to decide."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import params
from pipeline.core.errors import UserError
from pipeline.sources import folders, forms, label_checks, labels, metadata, table
from pipeline.sources.feedback import Feedback
from pipeline.sources.metadata import Metadata


@dataclass(frozen=True)
class Rules:
    """The params for reading a collection.

    Attributes:
        labels: `ingest.labels`: the new name of each species; null drops it. Defaults to none.
        columns: `ingest.columns`: columns of tables by their meaning. Defaults to none.
        species_from: `ingest.species_from`: `auto`, `metadata`, or `folder:N`.
        chosen: The metadata that a person named as the source, below the top folder; None for none.
        reviewed: Species that people named of photos beside the collection, which `labels` may name
            though the collection has none of them. Defaults to none.
    """

    labels: Mapping[str, str | None] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    species_from: str = "auto"
    chosen: str | None = None
    reviewed: Collection[str] = ()

    @classmethod
    def of(cls, ingest: params.Ingest) -> "Rules":
        """Returns the rules of the params, with the species in the feedback folder."""
        columns = ingest.columns.model_dump(exclude_none=True)
        reviewed = Feedback(Path(ingest.feedback)).species()
        return cls(ingest.labels, columns, ingest.species_from, reviewed=reviewed)

    @property
    def level(self) -> int | None:
        """Returns the level of the folder that names the species, 1 for the uppermost, or None."""
        kind, _, level = self.species_from.partition(":")
        return int(level) if kind == "folder" else None


def label_sources(
    top: Path, disk: pd.DataFrame, entries: Sequence[Metadata], rules: Rules
) -> list[Metadata]:
    """Chooses the metadata that label the photos; none where folders do.

    The chosen ones are matched with the photos, and each of `entries` (from `metadata.find`)
    records its use or why it has none.

    Raises:
        UserError: Several readings are possible, or the named file cannot be read; the message
            lists the files, and the lines of params.yaml that decide.
    """
    _require_columns(entries, rules.columns)
    named = [one for one in entries if one.path == rules.chosen]
    candidates = named or list(entries)
    if named and all(one.error for one in named):
        raise UserError(named[0].error)
    documents = _documents(top, disk, candidates)
    if documents and rules.level is None:
        return _used(documents, "labels")
    tables = _tables(top, disk, candidates, rules)
    if rules.level is not None:
        wide = [one for one in tables if one in named or _are_wide([one], disk)]
        return _used(_by_photos(wide)[:1], "other columns")
    chosen = _choose(top, [one for one in tables if one.described.has_species], rules)
    if chosen and (named or _are_wide(chosen, disk)):
        return _used(chosen, "labels")
    label_checks.require_understood(top, disk, candidates, bool(named))
    label_checks.require_no_lists(top, disk, candidates)
    if not chosen:
        usual = [one for one in tables if named or one.stem in metadata.USUAL]
        if usual:
            folders.require_one_reading(top, disk)
            return _used(_by_photos(usual)[:1], "columns beside the folders' species")
    if rules.species_from == "metadata":
        raise UserError(
            f"{top}: ingest.species_from is metadata, but no file here labels the photos; "
            f"{_seen(entries)}"
        )
    label_checks.require_agreement(top, disk, chosen)
    label_checks.require_no_keywords(top, disk)
    folders.require_one_reading(top, disk)
    return []


def _used(chosen: list[Metadata], what: str) -> list[Metadata]:
    for one in chosen:
        one.used_for, one.why_not = what, ""
    return chosen


def _documents(top: Path, disk: pd.DataFrame, candidates: list[Metadata]) -> list[Metadata]:
    """Returns documents in a form of their own: one package, or all of the first form."""
    species = {*forms.BY_NAME} - {forms.MEGADETECTOR}
    special = [one for one in candidates if one.kind in species]
    order = [forms.CAMTRAP_DP, forms.COCO, *(one.kind for one in special)]
    kind = next((kind for kind in order if any(one.kind == kind for one in special)), None)
    is_package = kind == forms.CAMTRAP_DP
    chosen = []
    for one in special:
        if one.kind != kind or (is_package and chosen):
            one.why_not = f"labels come from {chosen[0].path if chosen else kind}"
            continue
        metadata.annotate(one, top, disk)
        if is_package or one.rows[["species", "reason"]].notna().any(axis=None):
            chosen.append(one)
        else:
            one.why_not = "labels no photo"
    return chosen or [one for one in special if one.rows is not None]


def _tables(
    top: Path, disk: pd.DataFrame, candidates: list[Metadata], rules: Rules
) -> list[Metadata]:
    """Returns the tables that name photos, matched with them."""
    tables = []
    for one in candidates:
        if one.described is None or one.error:
            continue
        mine = rules.columns.get("species")
        if mine is not None and table.named_columns(one.document, mine) is None:
            one.described.species, one.described.flags = None, []
        metadata.annotate(one, top, disk)
        if one.photos:
            tables.append(one)
        else:
            one.why_not = "no column names a file that is here"
    return tables


def _require_columns(entries: Sequence[Metadata], columns: Mapping[str, Any]) -> None:
    tables = [one for one in entries if one.columns]
    for key, value in columns.items():
        if all(table.named_columns(one.document, value) is None for one in tables):
            names = value if isinstance(value, str) else ", ".join(value)
            raise UserError(
                f"ingest.columns: {key} is {names}, but no table has such columns; {_seen(tables)}"
            )


def _seen(entries: Sequence[Metadata]) -> str:
    """Lists the metadata as text."""
    seen = [f"{one.path} ({one.kind}: {one.shown_columns})" for one in entries]
    return f"there is {'; '.join(seen)}" if seen else "there is no table or JSON"


def _are_wide(chosen: Sequence[Metadata], disk: pd.DataFrame) -> bool:
    """Returns whether metadata describe the collection, and not only a few of its photos."""
    if any(one.stem in metadata.USUAL for one in chosen):
        return True
    pictures = set(metadata.photos(disk))
    covered = set().union(*(one.photos for one in chosen)) & pictures
    return bool(covered) and 2 * len(covered) >= len(pictures)


def _by_photos(tables: list[Metadata]) -> list[Metadata]:
    """Returns tables in another order, the one that names most photos first."""
    return sorted(tables, key=lambda one: (-len(one.photos), one.path))


def _choose(top: Path, tables: list[Metadata], rules: Rules) -> list[Metadata]:
    """Returns the table with most photos and those with other photos; or one for each split."""
    of_split = [one for one in tables if one.split]
    if len(of_split) > 1:
        return of_split
    taken: list[Metadata] = []
    for one in _by_photos(tables):
        rival = next((other for other in taken if other.photos & one.photos), None)
        if rival is None:
            taken.append(one)
            continue
        both = rival.photos & one.photos
        ours, theirs = (
            labels.of_photos(each.rows[each.rows["path"].isin(both)]) for each in (rival, one)
        )
        differ = sorted(path for path in both if ours.get(path) != theirs.get(path))
        one.why_not = f"names {len(both)} photos that {rival.path} names too"
        one.why_not += f", {len(differ)} of them otherwise" if differ else ""
        if differ and len(rival.photos) == len(one.photos):
            raise UserError(
                f"{top}: {rival.path} and {one.path} name the same {len(both)} photos, and "
                f"{len(differ)} of them, such as {differ[0]}, differ in species; "
                "set ingest.source to the correct one, or remove the other"
            )
    return taken
