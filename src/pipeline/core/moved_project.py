"""Mends MLflow's records of a project folder that was moved or renamed.

MLflow writes the absolute path of every artifact into its SQLite database. If they all lead to a
folder that is gone while `mlruns/` stands beside the database, they are pointed there.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

# Tables and columns of MLflow's own database in which paths of artifacts stand.
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def mend(tracking_uri: str) -> int:
    """Points the records at the artifacts where the project's folder is now.

    Args:
        tracking_uri: Where MLflow's records are; only a SQLite database is looked at.

    Returns:
        How many paths were changed: 0 where the old folder exists, or the new one has no artifacts.
    """
    records_file = database(tracking_uri)
    if records_file is None or not records_file.is_file():
        return 0
    here = records_file.absolute().parent
    with closing(sqlite3.connect(records_file, timeout=60)) as records, records:
        present = {name for (name,) in records.execute("SELECT name FROM sqlite_master")}
        if "experiments" not in present or not (here / "mlruns").is_dir():
            return 0
        written = [row[0] for row in records.execute("SELECT artifact_location FROM experiments")]
        places = {path[: path.rindex("/mlruns")] for path in written if path and "/mlruns" in path}
        gone = [old for old in places if not (Path(_local(old)) / "mlruns").exists()]
        changed = 0
        for old in gone:
            new = here.as_uri() if old.startswith("file:") else str(here)
            for table, column in PATHS:
                if table in present:
                    changed += records.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, len(old) + 7, f"{old}/mlruns"),
                    ).rowcount
    return changed


def database(tracking_uri: str) -> Path | None:
    """Returns the file of MLflow's SQLite database; None if its records are elsewhere."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(unquote(tracking_uri.removeprefix("sqlite:///")))


def _local(place: str) -> str:
    return unquote(urlparse(place).path) if place.startswith("file:") else place
