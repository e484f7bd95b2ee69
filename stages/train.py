"""Trains a recogniser with the params as they stand."""

from pathlib import Path

import pandas as pd

from pipeline.augment import transforms
from pipeline.core import errors, params, tracking
from pipeline.train import datasets, trainer

SPLIT, OUTPUT = Path("data/split.parquet"), Path("models/trained")


def main() -> None:
    p = params.load()
    ranges = transforms.Ranges.of(p.augment)
    data = datasets.Data.load(
        Path("data/augmented"), Path("data/resized"), SPLIT, Path(".cache"), ranges
    )
    kept = trainer.checkpoint(p.model, p.train, data)
    with tracking.run("train", run_id=kept.run_id) as run:
        kept.run_id = run.info.run_id
        tracking.log_params(model=p.model, train=p.train)
        tracking.log_dataset(pd.read_parquet(SPLIT), ["train", "validation"], "training")
        trained = trainer.fit(p.model, p.train, data, tracking.log_epoch, kept)
        trained.save(OUTPUT, run.info.run_id)
        tracking.log_score(trained.validation)
        tracking.log_folder(OUTPUT)
    kept.remove()
    print(trained)


if __name__ == "__main__":
    errors.run(main)
