"""Searches for better params, and trains the recogniser they make."""

from pathlib import Path

import pandas as pd

from pipeline.augment import transforms
from pipeline.core import caches, params, stage_timer, tracking
from pipeline.networks import backbones
from pipeline.train import datasets, trainer
from pipeline.train.settings import NetworkSettings, TrainingSettings
from pipeline.tune import report, search
from pipeline.tune import study as studies

AUGMENTED, RESIZED, SPLIT = Path("data/augmented"), Path("data/resized"), Path("data/split.parquet")
CACHE, OUTPUT, REPORT = Path(".cache"), Path("models/tuned"), Path("reports/tune")


def main() -> None:
    p = params.load()
    ranges = transforms.Ranges.of(p.augment)
    data = datasets.TrainingData.load(AUGMENTED, RESIZED, SPLIT, CACHE, ranges)
    p = params.replaced(p, {"model.backbone": backbones.chosen(p.model.backbone, data.has_views)})
    p = search.feasible(p)
    study = studies.open_study(p, data.digest(), CACHE / "studies", tracking.champion_params())
    run_key = studies.run_key(p)
    with tracking.run("tune", run_id=study.user_attrs.get(run_key)) as run:
        study.set_user_attr(run_key, run.info.run_id)
        tracking.log_dataset(pd.read_parquet(SPLIT), ["train", "validation"], "training")
        incumbent: dict[int, trainer.Trained] = {}
        ended = search.search(study, p, data, incumbent)
        tracking.mlflow().set_tag("search", ended)
        best = search.best(study, p)
        tuned = params.replaced(p, best.params)
        network, training = NetworkSettings.of(tuned.model), TrainingSettings.of(tuned.train)
        checkpoint = trainer.checkpoint(network, training, data)
        trained = incumbent.get(best.number)
        if trained is None:  # another process ran that trial, or time was up before its end
            trained = trainer.fit(network, training, data, tracking.log_epoch, checkpoint)
        trained.save(OUTPUT, run.info.run_id, report.files(study, best))
        report.plot(study, REPORT)
        # At the end, for a killed search that is given more trials may find other ones.
        if incumbent.get(best.number) is trained:
            tracking.log_history(trained.epochs())
        tracking.log_params(model=tuned.model, train=tuned.train)
        tracking.log_score(trained.validation)
        tracking.log_folder(OUTPUT)
        tracking.log_folder(REPORT)
    study.set_user_attr(run_key, None)  # only what did not end goes on in its run
    checkpoint.remove()
    caches.prune(CACHE, "features", "litert", "checkpoints", "studies")
    print(f"{ended}; the best is trial {best.number}: {trained}")


if __name__ == "__main__":
    stage_timer.run(main)
