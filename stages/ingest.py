"""Reads a collection of photos: what is good goes into the manifest, the rest into quarantine."""

from pathlib import Path

from pipeline import checks, errors, outputs, parallel, params, sheets
from pipeline.sources import folders, recipe
from pipeline.sources.gather import gather

PHOTOS, REPORT = Path("data/photos"), Path("reports/ingest")
CACHE = Path(".cache/looks")


def main() -> None:
    p = params.load()
    files = PHOTOS / "files"
    outputs.clear(PHOTOS, REPORT)
    with parallel.on(p.parallel.backend, p.parallel.address):
        found = gather(p.ingest.source, files, p.ingest.labels, p.parallel.jobs)
        root = folders.root(p.ingest.source, files)
        inspected = checks.inspect(root, found, p.ingest.max_pixels, p.parallel.jobs, CACHE)
    manifest, quarantine = checks.judge(inspected, p.ingest.min_side, p.ingest.near_duplicate_bits)
    for column, value in recipe.provenance(p.ingest.source).items():
        manifest[column] = manifest[column].fillna(value)
    counts = checks.count(manifest, quarantine)
    with outputs.whole(REPORT) as folder:
        folder.mkdir()
        counts.to_csv(folder / "counts.csv", index=False)
        quarantine.to_csv(folder / "quarantine.csv", index=False)
        rows = checks.contact_rows(root, manifest, p.ingest.max_pixels)
        sheets.sheet(rows).save(folder / "contact_sheet.png")
    print(counts.to_string(index=False))
    checks.require(counts, p.ingest.min_per_species)
    with outputs.whole(PHOTOS / "manifest.parquet") as path:
        outputs.write_table(manifest, path)


if __name__ == "__main__":
    errors.run(main)
