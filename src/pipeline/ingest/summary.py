"""Sums up what ingest left out of a collection, for the data card and the log."""

import json
from pathlib import Path

import pandas as pd

from pipeline.ingest.reviewed import Effect
from pipeline.sources import annotations, archive, clip_frames, labels
from pipeline.sources.reader import Collection
from pipeline.sources.recipes import recipe


def tables(
    collection: Collection,
    files: pd.DataFrame,
    quarantine: pd.DataFrame,
    rare: pd.Series,
    corrected: pd.Series,
    effect: Effect,
) -> dict[str, pd.Series]:
    """Returns the counts that the data card shows, by their headings; empty ones are left out.

    `files` are those of the collection after `clip_frames.extract`, `rare` and `corrected` the
    counts of `rare_species.settle` and `corrections.apply`.
    """
    nobody = labels.left_out(quarantine)
    counts = {
        "Videos": clip_frames.count(files),
        "Labels that name no animal": nobody.set_axis(
            [f"{why}: {name}" for why, name in nobody.index]
        ),
        "Labels corrected": corrected,
        "Relabelled by decisions on the page": effect.relabelled,
        "Added by decisions on the page": effect.added,
        "Left out of the decisions on the page": effect.left_out,
        "Rare species, dropped or pooled": rare,
        "Ignored folders": pd.Series(collection.ignored, dtype="int64"),
    }
    return {title: column for title, column in counts.items() if len(column)}


def describe(
    files: pd.DataFrame, corrections: Path, corrected: pd.Series, feedback: Path, effect: Effect
) -> str:
    """Returns lines on videos, corrections and people's decisions, where there were any."""
    decisions = effect.describe()
    videos = "".join(f"{what}: {number:,}\n" for what, number in clip_frames.count(files).items())
    by_file = f"lines of {corrections}: {corrected.sum()} applied\n" if len(corrected) else ""
    return videos + by_file + (f"photos of {feedback}: {decisions}\n" if decisions else "")


def write_sources(folder: Path, source: str, collection: Collection) -> None:
    """Writes what the collection was taken for, `source.json`, and its metadata, `metadata.csv`."""
    metadata = collection.metadata
    metadata.to_csv(folder / "metadata.csv", index=False)
    tables = metadata.loc[metadata["used_for"] == "labels", "file"].tolist()
    path = Path(source)
    if recipe.is_recipe(path):
        form = "recipe"
    elif path.is_file() and archive.is_archive(path):
        form = "archive_of_tables" if tables else "archive"
    else:
        form = "tables" if tables else "class_folders"
    described = json.dumps({"source": source, "form": form, "tables": tables}, indent=2)
    (folder / "source.json").write_text(described + "\n", encoding="utf-8")


def left_out(quarantine: pd.DataFrame) -> str:
    """Returns a line for each label that names no animal, with the params that would keep it."""
    return "".join(
        f"left out as {why}: {name} ({number} files); keep with "
        f"ingest.labels: {{{annotations.written(name)}: {annotations.written(name)}}}\n"
        for (why, name), number in labels.left_out(quarantine).items()
    )
