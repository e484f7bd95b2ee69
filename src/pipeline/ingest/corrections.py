"""Corrects labels by a list that people write: data/corrections.csv.

Each line says of one photo the species of its label, the right one, who corrected it, and
when. The collection itself stays as it is, so that corrections survive a new copy of it.
"""

import io
from pathlib import Path

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations

COLUMNS = ("photo", "was", "is", "who", "when")
REASON = "corrected"  # of a photo that shows none of the species


def read(path: Path) -> pd.DataFrame:
    """Reads the list.

    Args:
        path: A CSV with columns photo (sha256), was, is, who and when; `is` is empty where a photo
            shows no animal of the collection. It may be absent or empty: no corrections.

    Returns:
        The lines, as text, with their numbers in the file as `line`.

    Raises:
        UserError: It is no such CSV.
    """
    try:
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        table = pd.read_csv(
            io.StringIO(text if text.strip() else ",".join(COLUMNS)),
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,  # or lines could not be counted
            index_col=False,
        )
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is not a CSV in UTF-8 ({error}): save it as such") from None
    table = table.rename(columns=str.strip)
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(
            f"{path} has no column {', '.join(missing)}: its first line must be {','.join(COLUMNS)}"
        )
    table = table[list(COLUMNS)].apply(lambda column: column.str.strip())
    table["line"] = range(2, len(table) + 2)
    return table[(table[list(COLUMNS)] != "").any(axis=1)]


def apply(
    inspected: pd.DataFrame, corrections: pd.DataFrame, name: Path
) -> tuple[pd.DataFrame, pd.Series]:
    """Gives photos the species that corrections say they show.

    A later line may correct an earlier one. A photo that shows none of the species is refused.
    Messages call the list by its name.

    Args:
        inspected: A row a file, as `manifest.inspect` returns them.
        corrections: A row a correction, as `read` returns them.
        name: The list's file.

    Returns:
        The rows, and how often each correction was made, by `was -> is`.

    Raises:
        UserError: A line names no photo of the collection, or one that is not labelled as it says.
    """
    rows, made = inspected.copy(), []
    places = pd.Series(rows.index, rows["photo"]).dropna()
    known = annotations.ranks(inspected)
    for line in corrections.rename(columns={"is": "new"}).itertuples():
        where, was, new = f"{name}, line {line.line}", line.was, line.new
        if line.photo not in places.index:
            raise UserError(
                f"{where}: no photo of the collection has the sha256 `{line.photo}`: remove the "
                "line, or copy the photo's from reports/label_errors.csv"
            )
        files = pd.Index(places.loc[[line.photo]].to_numpy())
        files = files[(rows.loc[files, "species"] == was).to_numpy()]
        if not len(files):
            label = rows.loc[places.loc[[line.photo]].iloc[0], "species"]
            raise UserError(
                f"{where}: the photo is labelled `{label}` and not `{was}`, so it is unclear what "
                "to correct: remove the line, or mend its `was`"
            )
        if new:
            rows.loc[files, "species"] = new
            for column in known:
                rows.loc[files, column] = known[column].get(new)
        else:
            rows.loc[files, "reason"] = REASON
            rows.loc[files, "detail"] = f"{where}: it shows none of the species"
        made.append(f"{was} -> {new or '(none)'}")
    return rows, pd.Series(made, dtype="str").value_counts().sort_index()
