"""Reads a collection of photos: what is good goes into the manifest, the rest into quarantine."""

import json
from dataclasses import asdict
from pathlib import Path

from pipeline import errors, outputs, parallel, params

INGESTED, REPORT, CACHE = Path("data/ingested"), Path("reports/ingest"), Path(".cache/looks")


def main() -> None:
    p = params.load()
    max_pixels, jobs = p.ingest.max_pixels, p.parallel.jobs
    with parallel.on(p.parallel.backend, p.parallel.address):
        with parallel.ready("pipeline.looks", jobs):
            # Imported here, for all processes load at the same time.
            import pandas as pd

            from pipeline import card, checks, looks, memory, shortcut
            from pipeline.sources import folders, gather, recipe

            memory.give_back()
            gather.clear(p.ingest.source, INGESTED)
            files = INGESTED / "files"
            found = gather.gather(p.ingest.source, files, p.ingest.labels, jobs)
            root = folders.root(p.ingest.source, files)
        inspected = checks.inspect(root, found, max_pixels, jobs, CACHE)
    manifest, quarantine = checks.judge(
        inspected, p.ingest.min_side, p.ingest.near_duplicate_bits, p.ingest.reject
    )
    del found, inspected
    for column, value in recipe.provenance(p.ingest.source).items():
        manifest[column] = manifest[column].fillna(value)
    counts = checks.count(manifest, quarantine)
    sample = shortcut.sample(manifest)
    again = looks.at(root, list(sample["path"]), max_pixels, jobs, CACHE)
    appearance = pd.DataFrame(again, columns=looks.Look._fields)
    appearance = appearance[["photo", "sharpness", "colours"]].dropna()
    score = shortcut.score(sample.merge(appearance, on="photo"))
    with outputs.whole(REPORT) as folder:
        folder.mkdir()
        counts.to_csv(folder / "counts.csv", index=False)
        quarantine.to_csv(folder / "quarantine.csv", index=False)
        flagged = manifest.loc[manifest["flags"] != "", ["path", "species", "flags"]]
        flagged.sort_values("path").to_csv(folder / "flags.csv", index=False)
        (folder / "shortcut.json").write_text(json.dumps(asdict(score), indent=2) + "\n")
        page = card.page(p.ingest.source, root, manifest, quarantine, score, max_pixels, jobs)
        (folder / "index.html").write_text(page, encoding="utf-8")
    print(counts.to_string(index=False))
    print(f"named without looking at the animal: {score}")
    checks.require(counts, p.ingest.min_per_species)
    with outputs.whole(INGESTED / "appearance.parquet") as path:
        outputs.write_table(appearance, path)
    with outputs.whole(INGESTED / "manifest.parquet") as path:
        outputs.write_table(manifest, path)


if __name__ == "__main__":
    errors.run(main)
