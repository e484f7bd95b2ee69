"""How far one gets without looking at the animal: what an accuracy must be read against.

For each collection the score of `pipeline.dataset.shortcut_baseline` over folds of whole groups,
over folds of single photos, and their difference: what near-duplicates alone would have pretended.

    python bench/shortcut.py /path/to/photos /path/to/others
"""

import argparse
import tempfile
from pathlib import Path

from pipeline.core import params
from pipeline.dataset import shortcut_baseline
from pipeline.ingest import manifest as manifests
from pipeline.sources import folders
from pipeline.sources.choice import Rules
from pipeline.sources.reader import gather
from pipeline.split import assignment


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", help="collections")
    written = params.load().ingest
    for source in parser.parse_args().sources:
        with tempfile.TemporaryDirectory() as folder:
            files, cache = Path(folder, "files"), Path(folder, "looks")
            found = gather(source, files, Rules(written.labels), -1).files
            root = folders.root(source, files)
            inspected = manifests.inspect(root, found, written.max_pixels, -1, cache)
            manifest, _ = manifests.screen(inspected, written.min_side, written.near_duplicate_bits)
        sample = manifest.merge(shortcut_baseline.appearance(manifest, inspected), on="photo")
        fold = assignment.folds(sample, "group", shortcut_baseline.FOLDS, 0)
        gap = shortcut_baseline.gap(sample, fold, sample["group"])
        flags = manifest["flags"].str.split().explode().value_counts().to_dict()
        print(
            f"{Path(source).name}: {gap.grouped} without the animal, always the commonest species "
            f"{gap.grouped.guess:.3f}; photos dealt out one by one {gap.random}, so "
            f"{gap.gap:+.3f} ± {gap.standard_error:.3f}; flagged of {len(manifest)}: {flags}"
        )


if __name__ == "__main__":
    main()
