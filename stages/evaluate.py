"""Tests the better recogniser on the test split, as the network that will be served."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline.core import params, stage_timer, tracking
from pipeline.dataset.shards import Shards
from pipeline.evaluate import conversion, events, label_errors, predictions, report, slices
from pipeline.evaluate.candidates import Candidate, better
from pipeline.inference.pooling import FILE
from pipeline.monitor import drift
from pipeline.networks import litert_export

MODELS, REPORTS = Path("models"), Path("reports")


def main() -> None:
    p = params.load()
    manifest = pd.read_parquet("data/ingested/manifest.parquet")
    split = pd.read_parquet("data/split.parquet")
    shards = Shards("data/resized")
    validation = predictions.photos_of("validation", shards.index, manifest, split)
    test = predictions.photos_of("test", shards.index, manifest, split)
    chosen = better(Candidate.load(MODELS / "trained"), Candidate.load(MODELS / "tuned"))

    model = chosen.network()
    converted = conversion.convert(model, shards, predictions.sample(test, p.evaluate.parity))
    if p.evaluate.precision == "int8":
        converted = conversion.quantize(model, converted, shards, split, validation)
    calibration = chosen.calibration()
    description = litert_export.Description(
        chosen.labels, p.resize.fit, p.ingest.max_pixels, asdict(calibration)
    )
    reference = drift.reference(
        shards, validation.index, chosen.labels, calibration, chosen.validation_answers()
    )
    event = manifest.set_index("photo")["event"]
    pooling = events.fit(chosen.held_out(), event, calibration, chosen.labels)
    beside = {} if pooling is None else {FILE: pooling.written()}
    litert_export.write(
        folder=MODELS / "final",
        keras_file=chosen.keras_file,
        litert=converted.network,
        description=description,
        beside={drift.REFERENCE: reference, **beside},
    )

    answers = calibration.apply(predictions.predict(converted.network, shards, test, "test"))
    drawn = bool((manifest["origin"] == "drawn").all())
    facts = chosen.described() | converted.described() | {"drawn": drawn}
    if pooling is not None:
        facts["events"] = events.tested(pooling, test, answers, chosen.labels)
    judged = chosen.judged(test, answers)
    found = label_errors.find(judged, chosen.labels, manifest, shards.index)
    facts["label_errors"] = label_errors.save(found, judged, REPORTS / "label_errors.csv")
    seen = slices.light_and_sharpness(shards.batches(test.index))
    facets = slices.facets(test, manifest, split, seen)
    tested = report.Report.of(test, answers, chosen.labels, calibration, facets, facts)
    tested.save(REPORTS, shards)
    print(tested)
    with tracking.run("evaluate", run_id=chosen.run_id):
        tracking.log_test(tested.summary["test"], split)
        for name in (*report.FILES, "label_errors.csv"):
            tracking.log_folder(REPORTS / name)


if __name__ == "__main__":
    stage_timer.run(main)
