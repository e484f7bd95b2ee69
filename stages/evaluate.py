"""Tests the better recogniser on the test split, as the network that will be served."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline import drift, engine, errors, evaluation, export, params, tracking
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

    manifest = pd.read_parquet("data/ingested/manifest.parquet")
    split = pd.read_parquet("data/split.parquet")
    resized = Shards("data/resized")
    of = partial(evaluation.photos_of, index=resized.index, manifest=manifest, split=split)
    train, validation, test = of("train"), of("validation"), of("test")
    some = resized.take(train.index[:: max(1, len(train) // export.ENOUGH_FOR_INT8)])
    networks = {"float": export.to_litert(model), "int8": export.to_litert(model, some)}

    held_out, found = chosen.held_out()
    calibration = Calibration.fit(found, evaluation.positions(held_out["species"], chosen.labels))
    pictures, sizes = resized.take(validation.index), resized.index.loc[validation.index]
    found = found[held_out["split"] == "validation"]
    reference = drift.reference(sizes, pictures, chosen.labels, calibration, found)
    answers = {name: Network(exported)(pictures) for name, exported in networks.items()}

    pictures = resized.take(test.index)
    targets = evaluation.positions(test["species"], chosen.labels)
    said = {name: Network(exported)(pictures) for name, exported in networks.items()}
    precisions = evaluation.Precisions.of(p.evaluate.precision, answers, said, targets)
    served, other = precisions.served, precisions.other
    agreement = export.compare(export.asked(model, pictures), said["float"])
    about = chosen.labels, p.resize.fit, p.ingest.max_pixels, asdict(calibration)
    beside = {f"{other}.tflite": networks[other], drift.REFERENCE: reference}
    export.write(FINAL, network, networks[served], *about, beside)

    found = calibration.apply(said[served]), chosen, calibration, agreement, precisions
    report = evaluation.Report.of(test, *found, drawn=bool((manifest["origin"] == "drawn").all()))
    report.save(REPORTS, pictures)
    print(report)
    with tracking.run("evaluate", run_id=chosen.run_id):
        tracking.log_test(report.summary["test"], split)
        for written in report.files(REPORTS):
            tracking.log_folder(written)


if __name__ == "__main__":
    errors.run(main)
