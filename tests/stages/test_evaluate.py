"""What the evaluate stage tests, serves and reports: which photos, which network, which numbers.

The photos are of one colour each. A network looks at the channels' means alone, so what it says of
a photo can be computed by hand.
"""

import io
import json
from dataclasses import asdict

import challengers
import numpy as np
import pandas as pd
import pytest
import shard_files
import staged
from made_detectors import network
from PIL import Image

from pipeline.core import atomic, tracking
from pipeline.evaluate import calibration_fit
from pipeline.inference.litert import Network
from pipeline.inference.recogniser import Recogniser
from pipeline.networks import keras_setup
from pipeline.train.metrics import Score

LABELS = ["owl", "cat", "bee"]  # in an order of their own, red, green and blue
SIZE = 16
WEIGHT = 0.02  # of the trained network; the tuned one is surer, and takes some owls for cats
# Photos of each species in each split, of these how many have the next species' colour, and the
# most light: int8 is measured on training photos, which alone are as bright.
SPLITS = {
    "train": ([9, 6, 5], 1, 240),
    "validation": ([5, 4, 2], 1, 140),
    "test": ([6, 3, 2], 2, 90),
}
TRAINED = WEIGHT * np.eye(3)
TUNED = 1.5 * WEIGHT * np.array([[1, 0.75, 0], [0, 1, 0], [0, 0, 1]])


def photos():
    """Photos in no order of splits, their split, and the colour of each."""
    rng = np.random.default_rng(0)
    rows = []
    for split, (counts, wrong, light) in SPLITS.items():
        for place, (species, count) in enumerate(zip(LABELS, counts, strict=True)):
            for number in range(count):
                colour = rng.integers(0, light // 3, 3)
                colour[(place + (number < wrong)) % 3] = light - number
                rows.append((f"{split}-{species}-{number}", species, split, colour))
    table = pd.DataFrame(rows, columns=["photo", "species", "split", "colour"])
    table = table.sample(frac=1, random_state=0, ignore_index=True)
    table["path"] = [f"{number:02d}.jpg" for number in range(len(table))]
    return table.assign(width=range(100, 100 + len(table)), height=50, box=None)


NO_ANIMAL = network(np.zeros((1, 12, 8)))  # what a detector finds in any photo
SHIFT = 20.0  # of the features that training left, to tell them from the network's


def said(colours, weights, temperature=1.0):
    """Probabilities of colours, (n, 3), by a network's weights."""
    powers = np.exp(np.array(colours.tolist()) @ weights / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def save(folder, weights, table, better, run_id):
    """Saves a candidate as training does; `better` makes it right about all that it held out."""
    keras_setup.seed(0)
    keras = keras_setup.keras()
    inputs = keras.Input((SIZE, SIZE, 3))
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    head = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)], name="head")
    model = keras.Model(inputs, keras.layers.Softmax()(head(means)))
    head.set_weights([weights, np.zeros(3)])
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    held_out = table[table["split"] != "test"].iloc[::-1]
    held_out = pd.concat(
        [held_out[held_out["split"] == "train"], table[table["split"] == "validation"]]
    )
    probabilities = said(held_out["colour"], weights)
    targets = held_out["species"].map(LABELS.index).to_numpy()
    right = np.ones(len(targets), bool) if better else probabilities.argmax(axis=1) == targets
    largest = (np.array(held_out["colour"].tolist()) @ weights).max(axis=1)
    colours = held_out["colour"]
    held_out = held_out[["photo", "split", "species"]].assign(largest_logit=largest)
    held_out = held_out.assign(probabilities=list(probabilities), right=right)
    held_out["features"] = [np.array(colour) + SHIFT for colour in colours]
    atomic.write_table(held_out, folder / "held_out.parquet")
    score = Score.of(probabilities, targets)
    model = {"backbone": "scratch_cnn", "weights": "none", "unfrozen_blocks": 0}
    run = {"run_id": run_id, "labels": LABELS, "validation": asdict(score), "model": model}
    (folder / "run.json").write_text(json.dumps(run))
    return held_out


class Evaluated:
    """A run of the stage, and what it left."""

    def __init__(self, folder, chosen, precision, origin):
        self.table, self.chosen, self.folder = photos(), chosen, folder
        pictures = np.array(self.table["colour"].tolist(), np.uint8)
        pictures = np.tile(pictures[:, None, None], (1, SIZE, SIZE, 1))
        index = self.table[["photo", "species", "width", "height", "box"]].astype({"box": "str"})
        shard_files.write(folder / "data/resized", index, pictures)
        shuffled = self.table.sample(frac=1, random_state=1)
        split = shuffled[["photo", "species", "split"]]
        split.assign(group=split["photo"], fold=None).to_parquet(folder / "data/split.parquet")
        (folder / "data/ingested").mkdir()
        manifest = shuffled[["photo", "path", "species"]].assign(origin=origin)
        manifest["group"] = manifest["photo"]
        # The tuned one's photos come in pairs.
        pair = manifest["photo"].str.replace(r"\d$", lambda n: str(int(n[0]) // 2), regex=True)
        manifest["event"] = pair if chosen == "tuned" else manifest["photo"]
        self.event = manifest.set_index("photo")["event"]
        manifest[["class", "order", "family", "genus"]] = None
        if chosen == "tuned":
            manifest["class"] = manifest["species"].map({"owl": "flier", "bee": "flier"})
        found = chosen == "tuned"
        manifest["detections"] = "[[0, 0, 1, 1]]" if found else None
        manifest["detection_sources"] = pd.Series(
            '["motion"]' if found else None, manifest.index, dtype="str"
        )
        manifest = manifest.assign(location=None, box=None, flags="").astype({"location": "str"})
        manifest.to_parquet(folder / "data/ingested/manifest.parquet")
        weights = {"trained": TRAINED, "tuned": TUNED}
        self.weights, held_out, runs = weights[chosen], {}, {}
        for name in weights:
            with tracking.run(name) as run:
                runs[name] = run.info.run_id
            better = name == "tuned" == chosen
            path = folder / "models" / name
            held_out[name] = save(path, weights[name], self.table, better, runs[name])
        self.held_out = held_out[chosen]
        lines = {"evaluate.precision": precision, "resize.fit": "pad", "resize.box_margin": 0.3}
        lines["evaluate.parity"] = {"float": 5, "int8": "all"}[precision]
        if chosen == "tuned":
            (folder / "data/detectors").mkdir()
            (folder / "data/detectors/md.onnx").write_bytes(NO_ANIMAL)
            lines |= {"ingest.find": ["motion", "detector"]}
            lines |= {"ingest.detector": "data/detectors/md.onnx"}
        staged.run("evaluate", folder, lines | {"ingest.max_pixels": 123_456})
        self.runs = {name: tracking.mlflow().get_run(run_id) for name, run_id in runs.items()}
        self.final = folder / "models/final"
        self.about = json.loads((self.final / "labels.json").read_text())
        self.metrics = json.loads((folder / "reports/metrics.json").read_text())
        self.predictions = pd.read_csv(folder / "reports/predictions.csv")
        self.test = self.table[self.table["split"] == "test"]
        self.targets = self.test["species"].map(LABELS.index).to_numpy()

    def answers(self, name="model.tflite"):
        """What a network in models/final says of the test photos, calibrated as it says."""
        pictures = np.array(self.test["colour"].tolist(), np.uint8)[:, None, None]
        pictures = np.tile(pictures, (1, SIZE, SIZE, 1))
        powers = Network((self.final / name).read_bytes())(pictures).astype(float)
        powers **= 1 / self.about["calibration"]["temperature"]
        return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A database for both runs."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("mlflow")
        patch.setenv("MLFLOW_TRACKING_URI", challengers.store(folder))
        patch.chdir(folder)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, store):
    """Both networks score alike, so that the trained one is taken; real photos, served in float."""
    return Evaluated(tmp_path_factory.mktemp("trained"), "trained", "float", "wikimedia")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, store):
    """The tuned network is surely the better one on what was held out; served in int8."""
    return Evaluated(tmp_path_factory.mktemp("tuned"), "tuned", "int8", "drawn")


@pytest.fixture(params=["trained", "tuned"])
def evaluated(request):
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_predictions_are_of_the_test_split_and_no_other_photo(evaluated):
    assert set(evaluated.predictions["photo"]) == set(evaluated.test["photo"])
    assert len(evaluated.predictions) == 11
    known = evaluated.table.set_index("photo")
    for row in evaluated.predictions.itertuples():
        assert (row.path, row.actual) == tuple(known.loc[row.photo, ["path", "species"]])


def test_the_better_candidate_on_validation_is_tested_and_served(evaluated):
    temperature = evaluated.about["calibration"]["temperature"]
    expected = said(evaluated.test["colour"], evaluated.weights, temperature)
    found = evaluated.predictions.set_index("photo").loc[evaluated.test["photo"]]
    assert found["predicted"].tolist() == [LABELS[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(found["probability"], expected.max(axis=1), atol=0.03)
    assert evaluated.metrics["chosen"] == evaluated.chosen
    kept = keras_setup.keras().saving.load_model(evaluated.final / "model.keras").get_weights()[0]
    np.testing.assert_allclose(kept, evaluated.weights, rtol=1e-6)


def test_the_numbers_are_those_of_the_predictions(evaluated):
    found, test = evaluated.predictions, evaluated.metrics["test"]
    right = found["predicted"] == found["actual"]
    assert test["photos"] == len(found)
    assert test["accuracy"] == pytest.approx(right.mean())
    assert test["accuracy"] != pytest.approx(evaluated.metrics["validation"]["accuracy"], abs=0.05)
    f1 = [
        2
        * (right & (found["actual"] == name)).sum()
        / ((found["actual"] == name).sum() + (found["predicted"] == name).sum())
        for name in LABELS
    ]
    assert test["macro_f1"] == pytest.approx(np.mean(f1))
    likely = evaluated.answers()[np.arange(11), evaluated.targets].clip(1e-12)
    assert test["log_loss"] == pytest.approx(-np.log(likely).mean(), rel=1e-5)


def test_the_calibration_is_fitted_on_what_was_held_out(evaluated):
    held_out = evaluated.held_out
    probabilities = np.stack(held_out["probabilities"])
    targets = held_out["species"].map(LABELS.index).to_numpy()
    assert evaluated.about["calibration"] == pytest.approx(
        asdict(calibration_fit.fit(probabilities, targets))
    )
    on_test = calibration_fit.fit(
        said(evaluated.test["colour"], evaluated.weights), evaluated.targets
    )
    assert on_test.temperature > 1.2 * evaluated.about["calibration"]["temperature"]


def test_the_precision_of_params_is_served_and_no_other_is_made(trained, tuned):
    for evaluated, served in ((trained, "float"), (tuned, "int8")):
        assert (np.int8 in kinds_of(evaluated.final / "model.tflite")) == (served == "int8")
        assert [path.name for path in evaluated.final.glob("*.tflite")] == ["model.tflite"]
        assert evaluated.metrics["precision"]["served"] == served
        found = evaluated.predictions.set_index("photo").loc[evaluated.test["photo"]]
        np.testing.assert_allclose(found["probability"], evaluated.answers().max(axis=1), rtol=1e-6)
    assert "same_label_as_float" not in trained.metrics["precision"]
    assert tuned.metrics["precision"]["same_label_as_float"] == 1


def test_keras_and_litert_are_compared_on_as_many_photos_as_params_say(trained, tuned):
    for evaluated, count in ((trained, 5), (tuned, 11)):
        agreement = evaluated.metrics["keras_and_litert"]
        assert (agreement["pictures"], agreement["same_label"]) == (count, count)
        assert agreement["largest_difference"] < 1e-5, "int8 was compared in place of float"


def details(file):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=file.read_bytes()).get_tensor_details()


def kinds_of(file):
    return {tensor["dtype"] for tensor in details(file)}


def test_int8_is_measured_on_training_photos(tuned):
    """Of these alone the brightest has 240; on others int8 would cut off what is brighter."""
    brightest = [
        255 * tensor["quantization"][0]
        for tensor in details(tuned.final / "model.tflite")
        if tensor["dtype"] == np.int8 and tuple(tensor["shape"]) == (1, SIZE, SIZE, 3)
    ]  # of the picture, and of the activation maps, which have the same shape
    assert len(brightest) == 2
    assert min(abs(value - 240) for value in brightest) < 2


def test_the_reference_for_drift_is_the_validation_split(evaluated):
    reference = pd.read_parquet(evaluated.final / "reference.parquet")
    validation = evaluated.table[evaluated.table["split"] == "validation"]
    assert reference["width"].tolist() == validation["width"].tolist()
    assert reference["brightness"].tolist() == [colour[1] for colour in validation["colour"]]
    temperature = evaluated.about["calibration"]["temperature"]
    expected = said(validation["colour"], evaluated.weights, temperature)
    np.testing.assert_allclose(reference["probability"], expected.max(axis=1), rtol=1e-4)
    assert reference["species"].tolist() == [LABELS[i] for i in expected.argmax(axis=1)]


def test_the_served_recogniser_judges_as_evaluate_wrote_down(evaluated):
    """Photos of one colour in place of files, of which the decoder changes no value."""
    recogniser = Recogniser(evaluated.final, workers=1)
    assert recogniser.open_set.novelty is not None
    assert recogniser.open_set.imagenet is None
    found = evaluated.predictions.set_index("photo").loc[evaluated.test["photo"]]
    for colour, kind in zip(evaluated.test["colour"], found["kind"], strict=True):
        file = io.BytesIO()
        Image.new("RGB", (20, 20), tuple(int(value) for value in colour)).save(file, "PNG")
        assert recogniser.answer(file.getvalue())["kind"] == kind
    unknown = (found["kind"] != "species").mean()
    assert evaluated.metrics["trust"]["unknown"] == pytest.approx(unknown)


def test_the_detector_is_fitted_to_what_was_held_out(evaluated):
    """The training photos are brighter than all others, and half of what is held out.

    In float the features are those that training had, in int8 those of the network that is served.
    """
    detector = Recogniser(evaluated.final, workers=1).open_set.novelty
    colours = np.array(evaluated.table["colour"].tolist())
    held_out = (evaluated.table["split"] != "test").to_numpy()
    shift = {"trained": SHIFT, "tuned": 0}[evaluated.chosen]
    np.testing.assert_allclose(detector.centre, colours[held_out].mean(axis=0) + shift, atol=1)
    largest = (colours[held_out] @ evaluated.weights).max(axis=1)
    assert detector.standard[0] == pytest.approx([largest.mean(), largest.std()])


def test_what_is_served_makes_photos_square_as_training_did(evaluated):
    assert evaluated.about["labels"] == LABELS
    assert evaluated.about["fit"] == "pad"
    assert evaluated.about["max_pixels"] == 123_456


def test_photos_in_events_are_judged_by_events_too(trained, tuned):
    assert "events" not in trained.metrics
    assert not (trained.final / "finding.json").exists()
    seen = {"margin": 0.3, "find": "motion", "views": True, "detector": "detector.onnx"}
    assert (tuned.final / "detector.onnx").read_bytes() == NO_ANIMAL
    assert json.loads((tuned.final / "finding.json").read_text()) == seen
    assert not (trained.final / "pooling.json").exists()
    events = tuned.metrics["events"]
    event = tuned.event[tuned.test["photo"]].to_numpy()
    assert (events["events"], events["frames"]) == (6, 11)
    assert json.loads((tuned.final / "pooling.json").read_text()) == events["pooling"]
    assert events["pooling"]["mean"] == "arithmetic"
    means = pd.DataFrame(tuned.answers()).groupby(event).mean()
    species = tuned.test["species"].groupby(event).first()[means.index]
    right = np.array(LABELS)[means.to_numpy().argmax(axis=1)] == species
    assert events["accuracy"] == pytest.approx(right.mean())
    assert 0 < right.mean() < 1


def test_answers_are_judged_at_each_rank_where_species_share_one(trained, tuned):
    assert "ranks" not in trained.metrics
    assert not (trained.final / "taxonomy.json").exists()
    written = json.loads((tuned.final / "taxonomy.json").read_text())
    assert written["names"]["class"] == ["flier", "cat", "flier"]
    assert written["names"]["genus"] == LABELS
    ranks = tuned.metrics["ranks"]
    by_species = dict(zip(written["names"]["species"], written["sure_from"], strict=True))
    assert by_species == ranks["sure_from"]
    owl, cat, bee = tuned.answers().T
    flier = owl + bee > cat
    actual = tuned.test["species"].isin(["owl", "bee"]).to_numpy()
    assert ranks["class"]["accuracy"] == pytest.approx((flier == actual).mean())
    assert ranks["species"]["accuracy"] == pytest.approx(tuned.metrics["test"]["accuracy"])


def test_pictures_are_said_to_be_drawn_only_if_they_are(trained, tuned):
    assert trained.metrics["drawn"] is False
    assert tuned.metrics["drawn"] is True


def test_the_test_is_logged_to_the_run_that_trained_what_is_served(trained, tuned):
    for evaluated, name, other in ((trained, "trained", "tuned"), (tuned, "tuned", "trained")):
        logged = evaluated.runs[name].data.metrics
        assert logged["test_accuracy"] == pytest.approx(evaluated.metrics["test"]["accuracy"])
        assert logged["test_macro_f1"] == pytest.approx(evaluated.metrics["test"]["macro_f1"])
        assert not evaluated.runs[other].data.metrics
        assert evaluated.metrics["run_id"] == evaluated.runs[name].info.run_id


def test_labels_to_check_are_those_of_photos_that_look_like_another_species(evaluated):
    """Of each species some photos have the next one's colour, in every split."""
    found = pd.read_csv(evaluated.folder / "reports/label_errors.csv")
    table = evaluated.table.set_index("photo")
    assert {"train", "validation"} <= set(found["split"])
    section = evaluated.metrics["label_errors"]
    assert (section["photos"], section["suspected"]) == (len(table), len(found))
    for row in found.itertuples():
        colour = np.asarray(table.loc[row.photo, "colour"])
        assert row.species == table.loc[row.photo, "species"] != LABELS[colour.argmax()]
        assert (
            evaluated.folder / f"reports/plots/photos/{table.index.get_loc(row.photo)}.jpg"
        ).is_file()
