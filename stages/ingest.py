"""Reads a collection of photos: what is good goes into the manifest, the rest into quarantine."""

import json
from dataclasses import asdict
from pathlib import Path

from pipeline.core import atomic, errors, parallel, params

INGESTED, REPORT, CACHE = Path("data/ingested"), Path("reports/ingest"), Path(".cache/looks")


def main() -> None:
    p = params.load()
    max_pixels, jobs = p.ingest.max_pixels, p.parallel.jobs
    with parallel.on(p.parallel.backend, p.parallel.address):
        with parallel.ready("pipeline.ingest.inspection_cache", jobs):
            # Imported here, for all processes load at the same time.
            import pandas as pd

            from pipeline.dataset import shortcut_baseline
            from pipeline.ingest import data_card, inspection_cache
            from pipeline.ingest import manifest as manifests
            from pipeline.sources import folders, reader
            from pipeline.sources.recipes import recipe

            reader.clear(p.ingest.source, INGESTED)
            files = INGESTED / "files"
            found = reader.gather(p.ingest.source, files, p.ingest.labels, jobs)
            root = folders.root(p.ingest.source, files)
        inspected = manifests.inspect(root, found, max_pixels, jobs, CACHE)
    manifest, quarantine = manifests.judge(
        inspected, p.ingest.min_side, p.ingest.near_duplicate_bits, p.ingest.reject
    )
    del found, inspected
    for column, value in recipe.provenance(p.ingest.source).items():
        manifest[column] = manifest[column].fillna(value)
    counts = manifests.count(manifest, quarantine)
    sample = shortcut_baseline.sample(manifest)
    again = inspection_cache.at(root, list(sample["path"]), max_pixels, jobs, CACHE)
    appearance = pd.DataFrame(again, columns=inspection_cache.Look._fields)
    appearance = appearance[["photo", "sharpness", "colours"]].dropna()
    score = shortcut_baseline.score(sample.merge(appearance, on="photo"))
    with atomic.whole(REPORT) as folder:
        folder.mkdir()
        counts.to_csv(folder / "counts.csv", index=False)
        quarantine.to_csv(folder / "quarantine.csv", index=False)
        flagged = manifest.loc[manifest["flags"] != "", ["path", "species", "flags"]]
        flagged.sort_values("path").to_csv(folder / "flags.csv", index=False)
        (folder / "shortcut.json").write_text(json.dumps(asdict(score), indent=2) + "\n")
        page = data_card.page(p.ingest.source, root, manifest, quarantine, score, max_pixels, jobs)
        (folder / "index.html").write_text(page, encoding="utf-8")
    print(counts.to_string(index=False))
    print(f"named without looking at the animal: {score}")
    manifests.require(counts, p.ingest.min_per_species)
    with atomic.whole(INGESTED / "appearance.parquet") as path:
        atomic.write_table(appearance, path)
    with atomic.whole(INGESTED / "manifest.parquet") as path:
        atomic.write_table(manifest, path)


if __name__ == "__main__":
    errors.run(main)
