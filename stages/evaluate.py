"""Tests the better recogniser on the test split, as the network that will be served."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline import engine, errors, evaluation, export, params, tracking
from pipeline.calibration import Calibration
from pipeline.litert import Network
from pipeline.shards import Shards

FINAL, REPORTS = Path("models/final"), Path("reports")


def main() -> None:
    p = params.load()
    candidates = [evaluation.Candidate.load(Path("models") / name) for name in ("trained", "tuned")]
    chosen = evaluation.better(*candidates)
    network = chosen.folder / "model.keras"
    model = engine.keras().saving.load_model(network)
    exported = export.to_litert(model)

    manifest = pd.read_parquet("data/photos/manifest.parquet")
    split = pd.read_parquet("data/split.parquet")
    resized = Shards("data/resized")
    served = Network(exported)
    validation = evaluation.photos_of("validation", resized.index, manifest, split)
    calibration = Calibration.fit(
        served(resized.take(validation.index)),
        evaluation.positions(validation["species"], chosen.labels),
    )
    test = evaluation.photos_of("test", resized.index, manifest, split)
    pictures = resized.take(test.index)
    raw = served(pictures)
    agreement = export.compare(model.predict(pictures, verbose=0), raw)
    limits = p.resize.fit, p.ingest.max_pixels
    export.write(FINAL, network, exported, chosen.labels, *limits, asdict(calibration))

    drawn = bool((manifest["origin"] == "drawn").all())
    probabilities = calibration.apply(raw)
    report = evaluation.Report.of(test, probabilities, chosen, calibration, agreement, drawn)
    report.save(REPORTS, pictures)
    print(report)
    with tracking.run("evaluate", run_id=chosen.run_id):
        tracking.log_test(report.summary["test"], split)
        for written in report.files(REPORTS):
            tracking.log_folder(written)


if __name__ == "__main__":
    errors.run(main)
