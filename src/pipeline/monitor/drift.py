"""Detects drift: photos and answers that differ from those of the validation split.

Each property of the answers in a log is compared with that of the validation photos, which were
drawn like the training photos and not trained on. It has drifted if the difference is both large
and significant: a population stability index (PSI; Siddiqi 2006, Credit Risk Scorecards) of
`LARGE` or more, and a p-value below `SIGNIFICANT` after Bonferroni's correction, by the two-sample
Kolmogorov-Smirnov test for numbers and the chi-square test for names. With thousands of photos any
difference is significant, and with dozens many are large; only both together are drift.
"""

import io
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.core import atomic
from pipeline.core.errors import UserError
from pipeline.dataset.shards import Shards
from pipeline.inference import decoding
from pipeline.sources import cells

LARGE = 0.2  # a usual limit for the PSI; 0.1 is taken for a slight change
SIGNIFICANT = 0.01
REFERENCE = "reference.parquet"
MIN_ANSWERS = 50
_BINS = 10
_NUMBERS = ("brightness", "sharpness", "megapixels", "probability")
_NAMES = ("species", "unknown")
# As Excel and LibreOffice write them in the languages with most users.
_TRUE = ("true", "1", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda", "истина")
_FALSE = ("false", "0", "falsch", "faux", "falso", "onwaar", "fałsz", "ложь")


@dataclass(frozen=True)
class Change:
    """Compares a property of the answers with the reference.

    Attributes:
        property: Name of the property.
        before: Its median, or the most common name with its share, in the reference.
        now: Its median, or the most common name with its share, in the log.
        psi: Population stability index; 0 is no difference.
        p: p-value, corrected for the number of properties.
        drifted: Whether the difference is large and significant.
    """

    property: str
    before: str
    now: str
    psi: float
    p: float
    drifted: bool


def reference(shards: Shards, answers: pd.DataFrame) -> bytes:
    """Describes the validation pictures and the answers to them, one batch in memory at a time.

    Args:
        shards: The resized pictures; their index has width and height of each (px).
        answers: A row a validation picture: species (the most probable one), probability and
            unknown. Its index is the pictures' positions in the shards.

    Returns:
        A table with the columns of a request log, as the contents of a Parquet file.
    """
    batches = shards.batches(answers.index)
    light = pd.DataFrame([decoding.light(picture) for batch in batches for picture in batch])
    index = shards.index.loc[answers.index, ["width", "height"]]
    table = pd.concat([light, index.reset_index(drop=True), answers.reset_index(drop=True)], axis=1)
    file = io.BytesIO()
    atomic.write_table(table, file)
    return file.getvalue()


def read_reference(recogniser: Path) -> pd.DataFrame:
    """Reads the reference that evaluate wrote beside a recogniser.

    Args:
        recogniser: Folder that evaluate wrote, or the same of a registered version.

    Raises:
        UserError: There is none.
    """
    path = recogniser / REFERENCE
    if not path.exists():
        raise UserError(f"{recogniser} has no {REFERENCE}: run `dvc repro`")
    return pd.read_parquet(path)


def read(path: Path, days: float | None = None) -> pd.DataFrame:
    """Reads answers from a request log (JSON lines) or a file that `animal predict` wrote.

    Args:
        path: The file.
        days: Read only answers of the last so many days, by their `time`. Defaults to all.

    Returns:
        A row an answer.

    Raises:
        UserError: The file is missing or has no answers.
    """
    readers = {  # a species may be called `7` or `NA`
        **dict.fromkeys(set(cells.SUFFIXES) - {".jsonl"}, _spreadsheet),
        ".parquet": pd.read_parquet,
        ".json": partial(pd.read_json, dtype=False),
    }
    lines = partial(pd.read_json, dtype=False, lines=True)
    try:
        answers = readers.get(path.suffix.lower(), lines)(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable log of answers: {error}") from None
    if "species" not in answers:
        raise UserError(f"{path} is not a log of answers: it has no column species")
    if days is not None:
        if "time" not in answers:
            raise UserError(f"{path} has no column time, which --days needs: leave --days out")
        since = pd.Timestamp.now("UTC") - pd.Timedelta(days=days)
        answers = answers[pd.to_datetime(answers["time"], utc=True) >= since]
    return answers[answers["species"].notna()]


def _spreadsheet(path: Path) -> pd.DataFrame:
    """Reads a table as `animal predict` wrote it, or as a spreadsheet saved it since.

    That may be with semicolons, decimal commas and its own language's words for true and false.
    """
    answers = cells.load(path)
    for name in set(answers) & {*_NUMBERS, "width", "height"}:
        text = answers[name].astype("str")
        comma = text.str.fullmatch(r"-?[\d.]*,\d+(?:E[+-]?\d+)?", na=False)
        text = text.where(~comma, text.str.replace(".", "").str.replace(",", "."))
        answers[name] = pd.to_numeric(text)
    if "unknown" in answers:
        unknown = answers["unknown"].str.casefold()
        odd = unknown.dropna()[~unknown.dropna().isin([*_TRUE, *_FALSE])]
        if len(odd):
            raise ValueError(f"its column unknown holds {odd.iloc[0]!r}, not TRUE or FALSE")
        answers["unknown"] = unknown.isin(_TRUE).astype("object").where(unknown.notna())
    return answers


def compare(before: pd.DataFrame, now: pd.DataFrame) -> list[Change]:
    """Compares each property that both tables have.

    Args:
        before: The reference, as `read_reference` returns it.
        now: The log, as `read` returns it.

    Raises:
        UserError: There are fewer than `MIN_ANSWERS` answers.
    """
    if len(now) < MIN_ANSWERS:
        raise UserError(f"there are {len(now)} answers; under {MIN_ANSWERS} are too few to compare")
    before, now = _sized(before), _sized(now)
    shared = [name for name in (*_NUMBERS, *_NAMES) if name in before and name in now]
    return [_change(before[name].dropna(), now[name].dropna(), len(shared)) for name in shared]


def save(changes: list[Change], answers: int, folder: Path) -> None:
    """Writes `drift.json` and `drift.md`, a page for people."""
    drifted = any(change.drifted for change in changes)
    result = {"drifted": drifted, "answers": answers, "properties": [asdict(c) for c in changes]}
    with atomic.own_folder(folder) as partial:
        partial.mkdir()
        (partial / "drift.json").write_text(json.dumps(result, indent=2) + "\n")
        (partial / "drift.md").write_text(page(changes, answers) + "\n")


def page(changes: list[Change], answers: int) -> str:
    """Renders the changes as Markdown."""
    rows = [
        f"| {c.property} | {c.before} | {c.now} | {c.psi:.3f} | {c.p:.2g} "
        f"| {'**drifted**' if c.drifted else ''} |"
        for c in changes
    ]
    names = ", ".join(change.property for change in changes if change.drifted)
    head = f"""# {f"Drift of {names}" if names else "No drift"}

{answers} answers beside those to the validation photos. A property has drifted if
its PSI is {LARGE:g} or more and p below {SIGNIFICANT:g}.

| | validation | now | PSI | p | |
| --- | --- | --- | --- | --- | --- |
"""
    return head + "\n".join(rows)


def _sized(answers: pd.DataFrame) -> pd.DataFrame:
    if {"width", "height"} <= set(answers):
        return answers.assign(megapixels=answers["width"] * answers["height"] / 1e6)
    return answers


def _change(before: pd.Series, now: pd.Series, properties: int) -> Change:
    if before.name in _NAMES:
        before, now = before.astype(str), now.astype(str)
        counts = pd.concat([before.value_counts(), now.value_counts()], axis=1).fillna(0)
        table = counts.to_numpy().T
        p = stats.chi2_contingency(table).pvalue if table.shape[1] > 1 else 1.0
        shown = [f"{s.mode()[0]} ({(s == s.mode()[0]).mean():.0%})" for s in (before, now)]
    else:
        edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
        places = (np.searchsorted(edges, s) for s in (before, now))
        table = np.stack([np.bincount(place, minlength=len(edges) + 1) for place in places])
        p = stats.ks_2samp(before, now).pvalue
        shown = [f"{s.median():.4g}" for s in (before, now)]
    psi, p = stability(table[0], table[1]), min(1.0, float(p) * properties)
    drifted = psi >= LARGE and p < SIGNIFICANT
    return Change(str(before.name), shown[0], shown[1], psi, p, drifted)


def stability(before: np.ndarray, now: np.ndarray) -> float:
    """Returns the population stability index of two rows of counts, half a count added."""
    left, right = ((counts + 0.5) / (counts + 0.5).sum() for counts in (before, now))
    return float(((right - left) * np.log(right / left)).sum())
