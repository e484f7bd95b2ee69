"""Whether what a recogniser is asked, and what it answers, is still what it was tested on.

Each property of the answers in a log is compared with the same of the validation photos, which
were drawn like the training photos and not learned from. It has drifted if the difference is both
large and no chance: a population stability index (PSI; Siddiqi 2006, Credit Risk Scorecards) of
`LARGE` or more, and a p-value below `CHANCE` after Bonferroni's correction, by the two-sample
Kolmogorov-Smirnov test for numbers and the chi-square test for names. With thousands of photos any
difference is significant, and with dozens many are large; only both together are news.
"""

import io
import json
from collections.abc import Sequence
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
from pipeline.inference.calibration import Calibration

LARGE = 0.2  # a usual limit for the PSI; 0.1 is taken for a slight change
CHANCE = 0.01
REFERENCE = "reference.parquet"
LEAST = 50  # answers; fewer are not judged
_BINS = 10
_NUMBERS = ("brightness", "sharpness", "megapixels", "probability")
_NAMES = ("species", "unknown")


@dataclass(frozen=True)
class Change:
    """How a property of the answers differs from the reference.

    Attributes:
        property: Which.
        before: Its median, or the most common name with its share, in the reference.
        now: Likewise in the log.
        psi: How large the difference is; 0 is none.
        p: How probable so large a one would be by chance, corrected for how many were looked at.
        drifted: Whether it is large and no chance.
    """

    property: str
    before: str
    now: str
    psi: float
    p: float
    drifted: bool


def reference(
    shards: Shards,
    positions: Sequence[int],
    labels: Sequence[str],
    calibration: Calibration,
    probabilities: np.ndarray,
) -> bytes:
    """Describes the validation pictures and the answers to them, one batch in memory at a time.

    Args:
        shards: The resized pictures; their index has width and height of each (px).
        positions: The validation pictures, as positions in the shards.
        labels: The species, in the order of the probabilities.
        calibration: Of the probabilities.
        probabilities: The network's answers to these pictures, (n, species).

    Returns:
        A table with the columns of a request log, as the contents of a Parquet file.
    """
    light = [decoding.light(picture) for batch in shards.batches(positions) for picture in batch]
    calibrated = calibration.apply(probabilities)
    index = shards.index.iloc[list(positions)]
    table = pd.DataFrame(light).assign(
        width=index["width"].to_numpy(),
        height=index["height"].to_numpy(),
        species=np.array(labels)[calibrated.argmax(axis=1)],
        probability=calibrated.max(axis=1),
        unknown=calibrated.max(axis=1) < calibration.unknown_below,
    )
    file = io.BytesIO()
    atomic.write_table(table, file)
    return file.getvalue()


def read_reference(recogniser: Path) -> pd.DataFrame:
    """Reads what evaluate wrote beside a recogniser.

    Raises:
        UserError: It wrote nothing.
    """
    path = recogniser / REFERENCE
    if not path.exists():
        raise UserError(f"{recogniser} has no {REFERENCE}: evaluate and register it anew")
    return pd.read_parquet(path)


def read(path: Path, days: float | None = None) -> pd.DataFrame:
    """Reads what was answered: a request log (JSON lines) or a file that `animal predict` wrote.

    Args:
        path: The file.
        days: Only answers of the last so many days, by their `time`. Defaults to all.

    Raises:
        UserError: There is no such file, or nothing was answered in it.
    """
    readers = {  # a species may be called `7` or `NA`
        ".csv": partial(pd.read_csv, dtype={"species": str}, keep_default_na=False, na_values=""),
        ".parquet": pd.read_parquet,
        ".json": partial(pd.read_json, dtype=False),
    }
    lines = partial(pd.read_json, dtype=False, lines=True)
    try:
        answers = readers.get(path.suffix, lines)(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no log of answers that can be read: {error}") from None
    if "species" not in answers:
        raise UserError(f"{path} is no log of answers: it has no species")
    if days is not None:
        if "time" not in answers:
            raise UserError(f"{path} does not say when it was answered, so --days cannot choose")
        since = pd.Timestamp.now("UTC") - pd.Timedelta(days=days)
        answers = answers[pd.to_datetime(answers["time"], utc=True) >= since]
    return answers[answers["species"].notna()]


def compare(before: pd.DataFrame, now: pd.DataFrame) -> list[Change]:
    """Looks at each property that both tables have.

    Args:
        before: What `reference` gave.
        now: What `read` gave.

    Raises:
        UserError: There are under `LEAST` answers.
    """
    if len(now) < LEAST:
        raise UserError(f"there are {len(now)} answers; under {LEAST} nothing can be said")
    before, now = _sized(before), _sized(now)
    shared = [name for name in (*_NUMBERS, *_NAMES) if name in before and name in now]
    return [_change(before[name].dropna(), now[name].dropna(), len(shared)) for name in shared]


def save(changes: list[Change], answers: int, folder: Path) -> None:
    """Writes `drift.json` and `drift.md`, a page for people."""
    drifted = any(change.drifted for change in changes)
    found = {"drifted": drifted, "answers": answers, "properties": [asdict(c) for c in changes]}
    with atomic.own_folder(folder) as partial:
        partial.mkdir()
        (partial / "drift.json").write_text(json.dumps(found, indent=2) + "\n")
        (partial / "drift.md").write_text(page(changes, answers) + "\n")


def page(changes: list[Change], answers: int) -> str:
    """The changes as a page of Markdown."""
    rows = [
        f"| {c.property} | {c.before} | {c.now} | {c.psi:.3f} | {c.p:.2g} "
        f"| {'**drifted**' if c.drifted else ''} |"
        for c in changes
    ]
    names = ", ".join(change.property for change in changes if change.drifted)
    return "\n".join(
        [
            f"# {f'Drift of {names}' if names else 'No drift'}",
            "",
            f"{answers} answers beside those to the validation photos. A property has drifted if",
            f"its PSI is {LARGE:g} or more and p below {CHANCE:g}.",
            "",
            "| | validation | now | PSI | p | |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _sized(answers: pd.DataFrame) -> pd.DataFrame:
    if {"width", "height"} <= set(answers):
        return answers.assign(megapixels=answers["width"] * answers["height"] / 1e6)
    return answers


def _change(before: pd.Series, now: pd.Series, looked_at: int) -> Change:
    if before.name in _NAMES:
        before, now = before.astype(str), now.astype(str)
        counts = pd.concat([before.value_counts(), now.value_counts()], axis=1).fillna(0)
        table = counts.to_numpy().T
        p = stats.chi2_contingency(table).pvalue if table.shape[1] > 1 else 1.0
        said = [f"{s.mode()[0]} ({(s == s.mode()[0]).mean():.0%})" for s in (before, now)]
    else:
        edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
        table = np.stack(
            [
                np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1)
                for s in (before, now)
            ]
        )
        p = stats.ks_2samp(before, now).pvalue
        said = [f"{s.median():.4g}" for s in (before, now)]
    psi, p = stability(*table), min(1.0, float(p) * looked_at)
    return Change(str(before.name), *said, psi, p, psi >= LARGE and p < CHANCE)


def stability(before: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two rows of counts; half a count is added to each."""
    left, right = ((counts + 0.5) / (counts + 0.5).sum() for counts in (before, now))
    return float(((right - left) * np.log(right / left)).sum())
