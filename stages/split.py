"""Decides which photos train, validate and test."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline.core import atomic, params, stage_timer
from pipeline.dataset import shortcut_baseline
from pipeline.split import assignment
from pipeline.split import report as split_report

REPORT = Path("reports/split")


def main() -> None:
    p = params.load()
    train, validation = p.split.train, p.split.validation
    manifest = pd.read_parquet("data/ingested/manifest.parquet")
    split = assignment.assign(
        manifest, train, validation, p.split.seed, p.split.by, p.split.respect_given
    )
    left_out = split_report.left_out(manifest, split)
    manifest = manifest.assign(split=split).dropna(subset="split")
    fold = assignment.folds_to_learn(
        manifest, p.split.by, p.split.folds, p.split.seed, p.split.respect_given
    )
    table = manifest[["photo", "species", "group", "split"]].assign(fold=fold)
    counts = split_report.count(table)
    units = assignment.units(manifest, p.split.by)
    balance = split_report.balance(table.assign(unit=units), train, validation)
    bits = p.ingest.near_duplicate_bits
    leaks = split_report.leaks(manifest["phash"].to_numpy(), table["split"], bits)
    sample = manifest.merge(pd.read_parquet("data/ingested/appearance.parquet"), on="photo")
    fold = assignment.folds(sample, p.split.by, shortcut_baseline.FOLDS, p.split.seed)
    gap = shortcut_baseline.gap(sample, fold, assignment.units(sample, p.split.by))
    with atomic.atomic_write(REPORT) as folder:
        folder.mkdir()
        counts.to_csv(folder / "counts.csv", index=False)
        balance.to_csv(folder / "balance.csv", index=False)
        left_out.to_csv(folder / "left_out.csv", index=False)
        report = pd.DataFrame({"near_duplicate_bits": [bits], "pairs_across_splits": [leaks]})
        report.to_csv(folder / "leaks.csv", index=False)
        (folder / "gap.json").write_text(json.dumps(asdict(gap), indent=2) + "\n")
    print(counts.to_string(index=False))
    print(f"near-duplicates across splits: {leaks}")
    print(split_report.shortfalls(balance))
    for reason, meaning in split_report.LEFT_OUT.items():
        print(f"left out {meaning}: {(left_out['reason'] == reason).sum()}")
    print(f"a random split would have flattered a look at colours alone by {gap}")
    split_report.require(table)
    with atomic.atomic_write(Path("data/split.parquet")) as path:
        atomic.write_table(table, path)


if __name__ == "__main__":
    stage_timer.run(main)
