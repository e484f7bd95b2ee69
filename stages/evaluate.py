"""Tests the better recogniser on the test split, as the network that will be served."""

from pathlib import Path

import pandas as pd

from pipeline.core import params, stage_timer, tracking
from pipeline.dataset import sampling, views
from pipeline.dataset.shards import Shards
from pipeline.evaluate import conversion, fitted, label_errors, predictions, report, slices
from pipeline.evaluate.candidates import Candidate, better
from pipeline.networks import litert_export, served_outputs

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
    classifier = served_outputs.classifier(chosen.model)
    answering = served_outputs.answering(model, classifier)
    parity = sampling.sample(test, p.evaluate.parity)
    converted = conversion.convert(model, answering, shards, parity)
    if p.evaluate.precision == "int8":
        converted = conversion.quantize(answering, converted, shards, split, validation)
    beside = fitted.fit(chosen, converted, shards, manifest, split, classifier)
    detector = Path(p.ingest.detector) if "detector" in p.ingest.find else None
    crop_files = views.files(manifest, p.resize.crop, p.resize.box_margin, detector)
    litert_export.write(
        folder=MODELS / "final",
        keras_file=chosen.keras_file,
        litert=converted.network,
        description=beside.description(p.resize.fit, p.ingest.max_pixels),
        beside=beside.files(shards) | crop_files,
    )
    rows = predictions.outputs(converted.network, shards, test, "test")
    answers, kinds = predictions.answers(rows, beside.calibration, beside.open_set.rule)
    drawn = bool((manifest["origin"] == "drawn").all())
    facts = chosen.described() | converted.described() | {"drawn": drawn}
    facts |= beside.tested(test, answers)
    facts |= beside.examined(converted.network, shards, test)
    of_all = chosen.all_answers(test, answers, beside.calibration, shards.index)
    suspects = label_errors.find(of_all, chosen.labels, manifest)
    facts["label_errors"] = label_errors.save(suspects, of_all, REPORTS / "label_errors.csv")
    measured = slices.light_and_sharpness(shards.batches(test.index))
    facets = slices.facets(test, manifest, split, measured)
    test = test.assign(kind=kinds)
    tested = report.Report.of(test, answers, chosen.labels, beside.calibration, facets, facts)
    tested.save(REPORTS, shards)
    print(tested)
    with tracking.run("evaluate", run_id=chosen.run_id):
        tracking.log_test(tested.summary["test"], split)
        for name in (*report.FILES, "label_errors.csv"):
            tracking.log_folder(REPORTS / name)


if __name__ == "__main__":
    stage_timer.run(main)
