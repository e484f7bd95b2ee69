"""Tests the better recogniser on the test split, as the network that will be served."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.core import errors, params, tracking
from pipeline.dataset.shards import Shards
from pipeline.evaluate import calibration_fit, metrics
from pipeline.evaluate.candidates import Candidate, better
from pipeline.evaluate.precisions import Precisions
from pipeline.evaluate.report import Report, photos_of
from pipeline.inference.litert import Network
from pipeline.monitor import drift
from pipeline.networks import keras_setup, litert_export

FINAL, REPORTS = Path("models/final"), Path("reports")


def main() -> None:
    p = params.load()
    candidates = [Candidate.load(Path("models") / name) for name in ("trained", "tuned")]
    chosen = better(*candidates)
    network = chosen.folder / "model.keras"
    model = keras_setup.keras().saving.load_model(network)

    manifest = pd.read_parquet("data/ingested/manifest.parquet")
    split = pd.read_parquet("data/split.parquet")
    resized = Shards("data/resized")
    of = partial(photos_of, index=resized.index, manifest=manifest, split=split)
    train, validation, test = of("train"), of("validation"), of("test")
    some = resized.take(train.index[:: max(1, len(train) // litert_export.ENOUGH_FOR_INT8)])
    networks = {
        "float": litert_export.to_litert(model),
        "int8": litert_export.to_litert(model, some),
    }

    held_out, found = chosen.held_out()
    calibration = calibration_fit.fit(found, metrics.positions(held_out["species"], chosen.labels))
    pictures, sizes = resized.take(validation.index), resized.index.loc[validation.index]
    found = found[held_out["split"] == "validation"]
    reference = drift.reference(sizes, pictures, chosen.labels, calibration, found)
    answers = {name: Network(exported)(pictures) for name, exported in networks.items()}

    pictures = resized.take(test.index)
    targets = metrics.positions(test["species"], chosen.labels)
    said = {name: Network(exported)(pictures) for name, exported in networks.items()}
    precisions = Precisions.of(p.evaluate.precision, answers, said, targets)
    served, other = precisions.served, precisions.other
    agreement = litert_export.compare(litert_export.predict_on_cpu(model, pictures), said["float"])
    about = chosen.labels, p.resize.fit, p.ingest.max_pixels, asdict(calibration)
    beside = {f"{other}.tflite": networks[other], drift.REFERENCE: reference}
    litert_export.write(FINAL, network, networks[served], *about, beside)

    found = calibration.apply(said[served]), chosen, calibration, agreement, precisions
    report = Report.of(test, *found, drawn=bool((manifest["origin"] == "drawn").all()))
    report.save(REPORTS, pictures)
    print(report)
    with tracking.run("evaluate", run_id=chosen.run_id):
        tracking.log_test(report.summary["test"], split)
        for written in report.files(REPORTS):
            tracking.log_folder(written)


if __name__ == "__main__":
    errors.run(main)
