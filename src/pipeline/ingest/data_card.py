"""The data card: one page about a collection that a person would like to look at."""

import base64
import html
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path

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

_STYLE = """
:root { color-scheme: light dark; --bar: #4a7c59; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2; margin: 2.2rem 0 .6rem }
.facts { display: flex; flex-wrap: wrap; gap: .8rem; padding: 0 }
.facts div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem }
.facts b { display: block; font-size: 1.5rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line) }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.bar { width: 40% }
td.bar i { display: block; height: .8rem; background: var(--bar); border-radius: .2rem }
img { display: block; max-width: 100%; border-radius: .3rem; margin: .2rem 0 1rem }
h3 { margin: 0; font-size: 1rem }
p { max-width: 44rem }
"""
_MEANING = {
    "blurred": "hardly a sharp edge even when shrunk",
    "too_dark": "99 of 100 pixels in the darkest quarter of the range",
    "too_bright": "99 of 100 pixels in the brightest quarter: text, maps and drawings, often",
    "one_colour": "nearly one shade all over",
    "odd_aspect": "over twice as long as wide: its centre is less than half of it",
    "tiny_subject": "the largest box is under 32 px a side at 224 px",
    "wrong_extension": "the bytes are another format than the name says",
}


def page(
    source: str,
    root: Path,
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    score: Score,
    max_pixels: int,
    jobs: int,
) -> str:
    """Draws up the card as HTML that needs no other file, no network and no script.

    Args:
        source: Where the collection comes from, in words.
        root: The folder that the manifest's paths start from.
        manifest: The accepted photos.
        quarantine: The refused files.
        score: What `shortcut_baseline.score` gave.
        max_pixels: As in `decoding.square`.
        jobs: Processes to use.

    Returns:
        The page, the same for the same collection. Names are escaped, whatever is in them.
    """
    species = _counted(manifest["species"])
    strips = partial(_strips, root, max_pixels, jobs)
    body = [
        f"<h1>{_text(source)}</h1>",
        _facts(manifest, quarantine, species, score),
        "<h2>Without looking at the animal</h2>",
        _shortcut(score),
        "<h2>Species</h2>",
        _species(manifest, quarantine, species),
        "<h2>Refused</h2>",
        _table(["reason", "files"], _counted(quarantine["reason"]), "No file was refused."),
        "<h2>Flagged</h2>",
        _flags(manifest, strips),
        "<h2>Sizes</h2>",
        _table(["shorter side", "photos"], _sizes(manifest), ""),
        "<h2>Capture times</h2>",
        _times(manifest["taken_at"].dropna(), len(manifest)),
    ]
    for title, column in (("Cameras", "location"), ("Sources", "origin"), ("Licences", "licence")):
        if manifest[column].notna().any():
            told = _counted(manifest[column].fillna("(not told)"))
            body += [f"<h2>{title}</h2>", _table([column, "photos"], told, "")]
    body += [
        "<h2>Pictures</h2>",
        *strips(
            {
                name: manifest.loc[manifest["species"] == name, "path"]
                for name in species.index[:_STRIPS]
            }
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Data card: {_text(source)}</title>\n<style>{_STYLE}</style>\n"
        + "\n".join(body)
        + "\n</html>\n"
    )


def _text(value: object) -> str:
    """Safe between tags and in attributes; control characters shown, not obeyed."""
    written = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    return html.escape(written)


def _counted(values: pd.Series) -> pd.Series:
    """How often each value occurs, the commonest first, equals by name on every machine."""
    return values.value_counts().sort_index().sort_values(ascending=False, kind="stable")


def _facts(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, species: pd.Series, score: Score
) -> str:
    groups = manifest["group"].nunique()
    flagged = (manifest["flags"] != "").mean() if len(manifest) else 0
    imbalance = species.max() / species.min() if len(species) else 1
    facts = {
        "photos": f"{len(manifest):,}",
        "species": f"{len(species):,}",
        "files refused": f"{len(quarantine):,}",
        "flagged": f"{flagged:.1%}",
        "copies in groups": f"{len(manifest) - groups:,}",
        "largest to smallest species": f"{imbalance:.1f} : 1",
        "named without the animal": f"{score.accuracy:.0%}",
    }
    tiles = "".join(f"<div><b>{value}</b>{_text(name)}</div>" for name, value in facts.items())
    return f'<div class="facts">{tiles}</div>'


def _shortcut(score: Score) -> str:
    return (
        f"<p>A model that sees only size, sharpness and colour histogram names "
        f"<b>{score.accuracy:.3f} ± {score.standard_error:.3f}</b> of {score.photos:,} photos "
        f"rightly, with near-duplicates kept together; always naming the commonest species would "
        f"reach {score.guess:.3f}. So much of any accuracy may come from where the photos were "
        "found and not from the animals on them.</p>"
    )


def _species(manifest: pd.DataFrame, quarantine: pd.DataFrame, species: pd.Series) -> str:
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
    return _table(["species", "photos"], counts.fillna(0).astype(int), "", more.fillna(0), None)


def _flags(manifest: pd.DataFrame, strips: partial) -> str:
    names = manifest["flags"].str.split().explode().value_counts()
    counts = names.reindex([name for name in quality_flags.FLAGS if name in names.index])
    table = _table(["flag", "photos"], counts, "No photo was flagged.")
    shown = {
        f"{name}: {_MEANING[name]}": manifest.loc[
            manifest["flags"].str.contains(rf"\b{name}\b"), "path"
        ]
        for name in counts.index
    }
    return table + "".join(strips(shown))


def _sizes(manifest: pd.DataFrame) -> pd.Series:
    shorter = manifest[["width", "height"]].min(axis=1)
    edges = [0, 64, 128, 224, 448, 896, 1792, 3584, np.inf]
    names = [f"{a} to {b - 1} px" for a, b in pairwise(edges[1:-1])]
    bins = pd.cut(shorter, edges, right=False, labels=["under 64 px", *names, "3584 px and more"])
    counts = bins.value_counts(sort=False)
    return counts[counts > 0]


def _times(taken: pd.Series, photos_in_all: int) -> str:
    if taken.empty:
        return "<p>No photo tells when it was taken.</p>"
    months = taken.str[:7].value_counts().sort_index()
    periods = months if len(months) <= 36 else taken.str[:4].value_counts().sort_index()
    hours = taken.str.extract(r"T(\d\d)", expand=False).value_counts().sort_index()
    return (
        f"<p>{len(taken):,} of {photos_in_all:,} photos tell when they were taken, "
        f"{_text(taken.min())} to {_text(taken.max())}.</p>"
        + _table(["taken in", "photos"], periods, "")
        + _table(["hour of the day", "photos"], hours, "")
    )


def _table(
    heads: list[str],
    counts: pd.Series,
    otherwise: str,
    more: pd.DataFrame | None = None,
    rows: int | None = _ROWS,
) -> str:
    """A table of counts with a bar each, and more columns beside them if there are any."""
    if counts.empty:
        return f"<p>{otherwise}</p>"
    columns = [] if more is None else list(more.columns)
    head = "".join(f'<th class="number">{_text(name)}</th>' for name in (heads[1], *columns))
    lines = [f"<tr><th>{_text(heads[0])}</th>{head}<th></th></tr>"]
    for place, (name, count) in enumerate(counts.iloc[:rows].items()):
        beside = [] if more is None else more.iloc[place]
        cells = "".join(f'<td class="number">{number:,.0f}</td>' for number in (count, *beside))
        width = 100 * count / max(counts.max(), 1)
        bar = f'<td class="bar"><i style="width:{width:.1f}%"></i></td>'
        lines.append(f"<tr><td>{_text(name)}</td>{cells}{bar}</tr>")
    if rows and len(counts) > rows:
        left = counts.iloc[rows:]
        lines.append(f'<tr><td>{len(left):,} more</td><td class="number">{left.sum():,}</td></tr>')
    return f"<table>{''.join(lines)}</table>"


def _strips(root: Path, max_pixels: int, jobs: int, shown: dict[str, pd.Series]) -> Iterable[str]:
    """A heading and a row of pictures for each of `shown`: of the first paths, which are any, for
    photos are named and ordered by hashes."""
    fewest, most = _PER_STRIP
    each = int(np.clip(_PICTURES // max(len(shown), 1), fewest, most))
    files = [[root / path for path in paths.iloc[:each]] for paths in shown.values()]
    drawn = parallel.each(partial(contact_sheets.strip, _SIDE, max_pixels), files, jobs)
    for (title, paths), strip in zip(shown.items(), drawn, strict=True):
        coded = base64.b64encode(strip).decode()
        picture = f'<img alt="" src="data:image/jpeg;base64,{coded}">' if strip else ""
        yield f"<h3>{_text(title)} ({len(paths):,})</h3>{picture}"
