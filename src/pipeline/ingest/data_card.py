"""Draws the data card: one HTML page that shows a person what a collection holds."""

import base64
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np
import pandas as pd

from pipeline.core import parallel
from pipeline.dataset import contact_sheets
from pipeline.dataset.shortcut_baseline import Score
from pipeline.ingest import quality_flags

_PICTURES = 600  # on a page, so that it stays a few megabytes whatever the collection's size
_PER_STRIP = (3, 10)
_STRIPS = 200  # species with pictures; the others are in the table
_ROWS = 60  # of any other table
_SIDE = 96
Strip = tuple[str, int, str]
_OPTIONAL_COLUMNS = {"Cameras": "location", "Sources": "origin", "Licences": "licence"}
_MEANING = {
    "blurred": "hardly a sharp edge even when shrunk",
    "too_dark": "99 of 100 pixels in the darkest quarter of the range",
    "too_bright": "99 of 100 pixels in the brightest quarter: text, maps and drawings, often",
    "one_colour": "nearly one shade all over",
    "odd_aspect": "over twice as long as wide: its centre is less than half of it",
    "tiny_subject": "the largest box is under 32 px a side at 224 px",
    "cut_short": "the file ends before the picture does; the last rows are grey",
    "other_sides": "other sides than the picture that was annotated; its boxes are left",
    "wrong_extension": "the bytes are another format than the name says",
}


def strips(
    root: Path, max_pixels: int, jobs: int, shown: Mapping[str, pd.Series]
) -> Iterator[Strip]:
    """Draws a row of small pictures for each heading.

    A row shows the first paths. These are arbitrary, for hashes name and order the photos.

    Args:
        root: The folder that the paths start from.
        max_pixels: A picture with more pixels is left out before it is decoded.
        jobs: Processes to use.
        shown: Paths by heading.

    Yields:
        The heading, the number of its photos and its pictures (JPEG in base64).
    """
    fewest, most = _PER_STRIP
    per_strip = int(np.clip(_PICTURES // max(len(shown), 1), fewest, most))
    files = [[root / path for path in paths.iloc[:per_strip]] for paths in shown.values()]
    strip = partial(contact_sheets.strip, _SIDE, max_pixels)
    drawn = parallel.map_ordered(strip, files, jobs)
    for (title, paths), picture in zip(shown.items(), drawn, strict=True):
        # Marked as HTML, or the page would look through it for characters to escape.
        yield title, len(paths), markupsafe.Markup(base64.b64encode(picture).decode())


def page(
    source: str,
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    score: Score,
    draw: Callable[[Mapping[str, pd.Series]], Iterator[Strip]],
    tables: Mapping[str, pd.Series] | None = None,
) -> str:
    """Draws up the card as HTML that needs no other file, no network and no script.

    Args:
        source: Where the collection comes from, in words.
        manifest: The accepted photos.
        quarantine: The refused files.
        score: Accuracy of the shortcut baseline on these photos.
        draw: Draws the rows of pictures, as `strips` does.
        tables: Further counts to show, by their headings. Defaults to none.

    Returns:
        The page, the same for the same collection. Every name is escaped.
    """
    species = _counted(manifest["species"])
    shown = species.index[:_STRIPS]
    paths = {name: manifest.loc[manifest["species"] == name, "path"] for name in shown}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("data_card.html.j2").render(
        source=source,
        facts=_facts(manifest, quarantine, species, score),
        score=score,
        species=_species(manifest, quarantine, species),
        refused=_table(["reason", "files"], _counted(quarantine["reason"]), "No file was refused."),
        more={
            title: _table(["", "files"], counts, "None.")
            for title, counts in (tables or {}).items()
        },
        flagged=_table(["flag", "photos"], _flags(manifest), "No photo was flagged."),
        flagged_pictures=draw(_flagged(manifest)),
        sizes=_table(["shorter side", "photos"], _sizes(manifest)),
        times=_times(manifest["taken_at"].dropna(), len(manifest)),
        known={
            title: _table([column, "photos"], _counted(manifest[column].fillna("(unknown)")))
            for title, column in _OPTIONAL_COLUMNS.items()
            if manifest[column].notna().any()
        },
        species_pictures=draw(paths),
    )


def _printable(value: Any) -> Any:
    """Escapes control characters in text; what is HTML already stays as it is."""
    if not isinstance(value, str) or isinstance(value, markupsafe.Markup):
        return value
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)


def _counted(values: pd.Series) -> pd.Series:
    """Counts each value, the commonest first, equals by name on every machine."""
    return values.value_counts().sort_index().sort_values(ascending=False, kind="stable")


def _facts(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, species: pd.Series, score: Score
) -> dict[str, str]:
    groups = manifest["group"].nunique()
    flagged = (manifest["flags"] != "").mean() if len(manifest) else 0
    imbalance = species.max() / species.min() if len(species) else 1
    return {
        "photos": f"{len(manifest):,}",
        "species": f"{len(species):,}",
        "files refused": f"{len(quarantine):,}",
        "flagged": f"{flagged:.1%}",
        "copies in groups": f"{len(manifest) - groups:,}",
        "largest to smallest species": f"{imbalance:.1f} : 1",
        "named without the animal": f"{score.accuracy:.0%}",
    }


def _species(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, species: pd.Series
) -> dict[str, Any]:
    by = manifest.groupby("species")
    columns = {
        "refused": quarantine["species"].value_counts(),
        "flagged": (manifest["flags"] != "").groupby(manifest["species"]).sum(),
        "groups": by["group"].nunique(),
        "median shorter side": by[["width", "height"]].median().min(axis=1).round().astype(int),
    }
    none_left = quarantine["species"].dropna().unique()
    counts = species.reindex([*species.index, *sorted(set(none_left) - set(species.index))])
    more = pd.DataFrame({name: column.reindex(counts.index) for name, column in columns.items()})
    counts = counts.fillna(0).astype(int)
    return _table(["species", "photos"], counts, more=more.fillna(0), rows=None)


def _flags(manifest: pd.DataFrame) -> pd.Series:
    names = manifest["flags"].str.split().explode().value_counts()
    return names.reindex([name for name in quality_flags.FLAGS if name in names.index])


def _flagged(manifest: pd.DataFrame) -> dict[str, pd.Series]:
    """Returns the paths of the photos with each flag, by the flag and its meaning."""
    has = {name: manifest["flags"].str.contains(rf"\b{name}\b") for name in quality_flags.FLAGS}
    return {
        f"{name}: {_MEANING[name]}": manifest.loc[rows, "path"]
        for name, rows in has.items()
        if rows.any()
    }


def _sizes(manifest: pd.DataFrame) -> pd.Series:
    shorter = manifest[["width", "height"]].min(axis=1)
    edges = [0, 64, 128, 224, 448, 896, 1792, 3584, np.inf]
    names = [f"{a} to {b - 1} px" for a, b in pairwise(edges[1:-1])]
    bins = pd.cut(shorter, edges, right=False, labels=["under 64 px", *names, "3584 px and more"])
    counts = bins.value_counts(sort=False)
    return counts[counts > 0]


def _times(taken: pd.Series, photos_in_all: int) -> dict[str, Any]:
    if taken.empty:
        return {"sentence": "No photo tells when it was taken.", "tables": []}
    months = taken.str[:7].value_counts().sort_index()
    periods = months if len(months) <= 36 else taken.str[:4].value_counts().sort_index()
    hours = taken.str.extract(r"T(\d\d)", expand=False).value_counts().sort_index()
    return {
        "sentence": f"{len(taken):,} of {photos_in_all:,} photos tell when they were taken, "
        f"{taken.min()} to {taken.max()}.",
        "tables": [
            _table(["taken in", "photos"], periods),
            _table(["hour of the day", "photos"], hours),
        ],
    }


def _table(
    heads: list[str],
    counts: pd.Series,
    otherwise: str = "",
    more: pd.DataFrame | None = None,
    rows: int | None = _ROWS,
) -> dict[str, Any]:
    """Prepares counts, with a bar each and more columns beside them, for the template."""
    beside = counts.to_frame() if more is None else pd.concat([counts, more], axis=1)
    largest = max(counts.max(), 1) if len(counts) else 1
    left = counts.iloc[rows:] if rows else counts.iloc[:0]
    return {
        "heads": [*heads, *([] if more is None else more.columns)],
        "rows": [
            (str(name), numbers, numbers[0] / largest)
            for name, *numbers in beside.iloc[:rows].itertuples()
        ],
        "otherwise": otherwise,
        "more": len(left),
        "photos_of_more": int(left.sum()),
    }
