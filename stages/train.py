"""Trains a recogniser with the params as they stand."""

from pathlib import Path

import pandas as pd

from pipeline.augment import transforms
from pipeline.core import caches, params, stage_timer, tracking
from pipeline.networks import backbones
from pipeline.train import datasets, trainer
from pipeline.train.settings import NetworkSettings, TrainingSettings

AUGMENTED, RESIZED, SPLIT = Path("data/augmented"), Path("data/resized"), Path("data/split.parquet")
CACHE, OUTPUT = Path(".cache"), Path("models/trained")


def main() -> None:
    p = params.load()
    ranges = transforms.Ranges.of(p.augment)
    data = datasets.TrainingData.load(AUGMENTED, RESIZED, SPLIT, CACHE, ranges)
    p = params.replaced(p, {"model.backbone": backbones.chosen(p.model.backbone, data.has_views)})
    network, training = NetworkSettings.of(p.model), TrainingSettings.of(p.train)
    checkpoint = trainer.checkpoint(network, training, data)
    with tracking.run("train", run_id=checkpoint.run_id) as run:
        checkpoint.run_id = run.info.run_id
        tracking.log_params(model=p.model, train=p.train)
        tracking.log_dataset(pd.read_parquet(SPLIT), ["train", "validation"], "training")
        trained = trainer.fit(network, training, data, tracking.log_epoch, checkpoint)
        trained.save(OUTPUT, run.info.run_id)
        tracking.log_score(trained.validation)
        tracking.log_folder(OUTPUT)
    checkpoint.remove()
    caches.prune(CACHE, "features", "litert", "checkpoints")
    print(trained)


if __name__ == "__main__":
    stage_timer.run(main)
