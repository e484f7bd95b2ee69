"""Reads a collection of photos: what is good goes into the manifest, the rest into quarantine."""

from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.core import atomic, caches, parallel, params, stage_timer, workspace
from pipeline.dataset import shortcut_baseline
from pipeline.ingest import blanks, corrections, data_card, rare_species, reviewed, summary
from pipeline.ingest import detections as animals
from pipeline.ingest import manifest as manifests
from pipeline.sources import choice, clip_frames, folders, reader
from pipeline.sources.recipes import recipe

INGESTED, REPORT, CACHE = Path("data/ingested"), Path("reports/ingest"), Path(".cache")
CORRECTIONS = Path("data/corrections.csv")


def main() -> None:
    p = params.load()
    ingest, jobs, source = p.ingest, p.parallel.jobs, p.ingest.source
    animals.require_detector(ingest)
    least, labels, pixels = ingest.min_per_species, ingest.labels, ingest.max_pixels
    rules = choice.Rules.of(ingest)
    with parallel.use_backend(p.parallel.backend, p.parallel.address):
        reader.clear(source, INGESTED)
        collection = reader.gather(source, INGESTED / "files", rules, jobs)
        root = folders.root(source, INGESTED / "files")
        print(collection.describe())
        files, feedback = blanks.as_species(collection.files), Path(ingest.feedback)
        files = clip_frames.extract(files, root, INGESTED / "clips", pixels, jobs)
        decided = reviewed.listed(feedback, root, files, labels, least)
        files = pd.concat([files, decided])
        inspected = manifests.inspect(root, files, pixels, jobs, CACHE / "inspections")
    inspected, corrected = corrections.apply(inspected, corrections.read(CORRECTIONS), CORRECTIONS)
    inspected, relabelled = reviewed.apply(inspected, decided)
    manifest, quarantine = manifests.screen(
        inspected, ingest.min_side, ingest.near_duplicate_bits, ingest.reject, ingest.event_gap
    )
    manifest, quarantine, few = rare_species.settle(manifest, quarantine, least, ingest.rare)
    manifest = manifest.fillna(recipe.provenance(source))
    with parallel.use_backend(p.parallel.backend, p.parallel.address):
        detections = animals.find(root, manifest, ingest, jobs)
    manifest[detections.columns] = detections
    effect = reviewed.effect(relabelled, decided, manifest, quarantine)
    counts = manifests.count(manifest, quarantine)
    appearance = shortcut_baseline.appearance(manifest, inspected)
    score = shortcut_baseline.score(manifest.merge(appearance, on="photo"))
    with atomic.atomic_write(REPORT) as folder:
        more = summary.tables(collection, files, quarantine, few, corrected, effect)
        strips = partial(data_card.strips, root, pixels, jobs)
        page = data_card.page(source, manifest, quarantine, score, strips, more)
        manifests.write_report(folder, manifest, quarantine, counts)
        summary.write_sources(folder, source, collection)
        shortcut_baseline.write_score(folder / "shortcut.json", score)
        (folder / "index.html").write_text(page, encoding="utf-8")
    print(counts.to_string(index=False), f"named without looking at the animal: {score}", sep="\n")
    effects = summary.describe(files, CORRECTIONS, corrected, feedback, effect)
    print(effects, summary.left_out(quarantine), sep="", end="")
    manifests.require(counts[~counts["species"].isin(few.index)], least)
    workspace.write_collection(INGESTED, root)
    for name, table in (("appearance", appearance), ("manifest", manifest)):
        with atomic.atomic_write(INGESTED / f"{name}.parquet") as path:
            atomic.write_table(table, path)
    caches.prune(CACHE, "downloads", "inspections")


if __name__ == "__main__":
    stage_timer.run(main)
