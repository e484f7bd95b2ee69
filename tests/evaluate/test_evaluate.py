import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shard_files
from PIL import Image
from sklearn import metrics

from pipeline.core.errors import UserError
from pipeline.dataset import shards
from pipeline.evaluate import confusion, conversion, plots, predictions
from pipeline.evaluate.candidates import Candidate, better
from pipeline.evaluate.predictions import photos_of
from pipeline.evaluate.report import FILES, Report
from pipeline.evaluate.scores import Scores
from pipeline.inference.calibration import Calibration
from pipeline.inference.open_set import SPECIES
from pipeline.train.metrics import Score

LABELS = ("ant", "bee", "cat", "dog")
PROBABILITIES = np.array(
    [
        [0.70, 0.10, 0.12, 0.08],
        [0.40, 0.30, 0.20, 0.10],
        [0.05, 0.20, 0.30, 0.45],
        [0.10, 0.20, 0.60, 0.10],
        [0.80, 0.05, 0.10, 0.05],
        [0.55, 0.25, 0.15, 0.05],
        [0.30, 0.40, 0.20, 0.10],
    ]
)
TARGETS = np.array([0, 1, 0, 2, 0, 0, 2])  # four ants, a bee, two cats, no dog
CALIBRATION = Calibration(temperature=1.2, unknown_below=0.5, set_from=0.3)


def candidate(name: str, accuracy: float, log_loss: float) -> Candidate:
    return Candidate(Path(name), "run", LABELS, Score(4, accuracy, 0.1, log_loss), {})


def judged(folder: Path, right: list[bool], first: int = 0) -> Candidate:
    """A candidate that named some photos of ants, numbered from `first`, rightly or as bees."""
    folder.mkdir()
    answers = [PROBABILITIES[0] if it else PROBABILITIES[0][[1, 0, 2, 3]] for it in right]
    photos = [f"p{first + i}" for i in range(len(right))]
    columns = {"photo": photos, "species": "ant", "probabilities": answers, "right": right}
    table = pd.DataFrame(columns).astype({"right": bool})
    table.to_parquet(folder / "held_out.parquet")
    return candidate(str(folder), np.mean(right).item(), 0.1)


@pytest.mark.parametrize(
    ("trained", "tuned", "chosen"),
    [
        ([1] * 80 + [0] * 20, [1] * 90 + [0] * 10, "tuned"),
        ([1] * 90 + [0] * 10, [1] * 80 + [0] * 20, "trained"),
        ([1] * 90 + [0] * 10, [1] * 90 + [0] * 10, "trained"),
        ([1] * 89 + [0] * 11, [0] + [1] * 90 + [0] * 9, "trained"),  # 2 gained, 1 lost: chance
        ([1] * 85 + [0] * 15, [0] + [1] * 89 + [0] * 10, "trained"),  # 5, 1: under 2 errors
        ([1] * 86 + [0] * 14, [0] * 10 + [1] * 90, "trained"),  # 14 gained, 10 lost: likewise
        ([1], [1], "trained"),
    ],
)
def test_the_tuned_one_is_chosen_where_it_is_surely_better(tmp_path, trained, tuned, chosen):
    first, second = judged(tmp_path / "trained", trained), judged(tmp_path / "tuned", tuned)
    assert better(first, second).folder.name == chosen


def test_all_answers_are_calibrated_and_have_their_picture(tmp_path):
    """Those held out are calibrated here, those to the test photos were before."""
    chosen = judged(tmp_path / "trained", [1, 0])
    table = pd.read_parquet(tmp_path / "trained/held_out.parquet").assign(split="train")
    table.to_parquet(tmp_path / "trained/held_out.parquet")
    index = pd.DataFrame({"photo": ["p1", "other", "t0", "p0"]})
    test = pd.DataFrame({"photo": ["t0"], "species": ["cat"]}, index=[2])
    answers = chosen.all_answers(test, PROBABILITIES[3:4], CALIBRATION, index)
    assert answers["photo"].to_dict() == {3: "p0", 0: "p1", 2: "t0"}
    assert answers["split"].tolist() == ["train", "train", "test"]
    powers = PROBABILITIES[0] ** (1 / 1.2)
    np.testing.assert_allclose(answers["probabilities"][3], powers / powers.sum())
    np.testing.assert_allclose(answers["probabilities"][2], PROBABILITIES[3])


def test_only_photos_that_judged_both_are_compared(tmp_path):
    """Where blocks are trained, those of the validation split alone are held out."""
    trained = judged(tmp_path / "trained", [1] * 50 + [0] * 10 + [1] * 10)
    tuned = judged(tmp_path / "tuned", [1] * 20, first=50)
    assert better(trained, tuned) is tuned
    assert better(tuned, trained) is tuned


def test_the_numbers_by_hand():
    summary = Scores(PROBABILITIES, TARGETS).summary()
    assert summary["photos"] == 7
    assert summary["accuracy"] == pytest.approx(4 / 7)
    assert summary["standard_error"] == pytest.approx((4 / 7 * 3 / 7 / 7) ** 0.5)
    assert summary["top3"] == pytest.approx(6 / 7)  # with two it were 5, all but the last and third
    # ant: 3 of 4 named, 3 of 4 called so; bee: never right; cat: 1 of 2, 1 of 1; no dog is there
    assert summary["macro_f1"] == pytest.approx((3 / 4 + 0 + 2 / 3) / 3)
    right = [0.7, 0.3, 0.05, 0.6, 0.8, 0.55, 0.2]
    assert summary["log_loss"] == pytest.approx(-np.log(right).mean())
    # In fifteenths: 6 has 0.4, 0.45 and 0.4, all wrong; 8, 9, 10 and 12 have one each, all right.
    missed = 0.4 + 0.45 + 0.4 + (1 - 0.55) + (1 - 0.6) + (1 - 0.7) + (1 - 0.8)
    assert summary["calibration_error"] == pytest.approx(missed / 7)


def test_blank_is_an_answer_and_no_species():
    """Blank photos count in the accuracy, and calling a bee blank costs the bee."""
    summary = Scores(PROBABILITIES, TARGETS, ("blank", *LABELS[1:])).summary()
    assert summary["accuracy"] == pytest.approx(4 / 7)
    assert summary["macro_f1"] == pytest.approx((0 + 2 / 3) / 2)


def test_the_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.choice(4, 300, p=[0.6, 0.25, 0.1, 0.05])
    probabilities = rng.dirichlet([0.5] * 4, 300) * 0.9 + 0.1 * np.eye(4)[targets]
    found = Scores(probabilities, targets).summary()
    said = probabilities.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(targets, said))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(targets, said, average="macro"))
    assert found["macro_f1"] < metrics.f1_score(targets, said, average="weighted") - 0.02
    assert found["top3"] == pytest.approx(metrics.top_k_accuracy_score(targets, probabilities, k=3))
    assert found["top3"] > metrics.top_k_accuracy_score(targets, probabilities, k=2) + 0.02
    assert found["log_loss"] == pytest.approx(metrics.log_loss(targets, probabilities))


def test_each_species_has_its_row():
    table = Scores(PROBABILITIES, TARGETS, LABELS).per_species().set_index("species")
    assert table["support"].tolist() == [4, 1, 2, 0]
    assert table["precision"].tolist() == [3 / 4, 0, 1, 0]
    assert table["recall"].tolist() == [3 / 4, 0, 1 / 2, 0]
    assert table["f1"].tolist() == pytest.approx([3 / 4, 0, 2 / 3, 0])


def test_the_photos_of_a_split_keep_their_places_in_the_shards():
    index = pd.DataFrame({"photo": ["a", "b", "c"], "species": ["ant", "bee", "ant"]})
    index["box"] = [None, None, "[0, 0, 1, 1]"]
    manifest = pd.DataFrame({"photo": ["c", "b", "a"], "path": ["3.jpg", "2.jpg", "1.jpg"]})
    manifest["group"], manifest["location"] = ["z", "y", "x"], [None, "here", "there"]
    manifest["event"] = ["e", "f", "g"]
    split = pd.DataFrame({"photo": ["b", "a", "c"], "split": ["train", "test", "test"]})
    test = photos_of("test", index, manifest, split)
    assert test.index.tolist() == [0, 2]
    assert test["path"].tolist() == ["1.jpg", "3.jpg"]
    assert test["group"].tolist() == ["x", "z"]
    assert test["event"].tolist() == ["g", "e"]
    assert test["location"].fillna("nowhere").tolist() == ["there", "nowhere"]
    assert test["box"].isna().tolist() == [True, False]


def test_photos_with_views_are_answered_by_the_mean_over_them(recogniser, tmp_path):
    """The network says of a picture what its mean red less its mean blue is, a hundredth of it."""
    red = np.array([200, 0, 120, 90, 30, 250, 40, 10], np.uint8)
    pictures = np.zeros((8, 32, 32, 3), np.uint8)
    pictures[..., 0] = red[:, None, None]
    pictures[..., 2] = 100
    index = pd.DataFrame({"photo": [*"aaabbcdd"], "view": [0, 1, 2, 0, 1, 0, 0, 1]})
    index = index.assign(species="red", box=None)
    shard_files.write(tmp_path / "resized", index, pictures)
    columns = {"path": "p", "group": "g", "event": "e", "location": None}
    manifest = pd.DataFrame({"photo": [*"dcba"]}).assign(**columns)
    manifest["detections"] = ["[[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]]", None, None, "[[0, 0, 1, 1]]"]
    split = pd.DataFrame({"photo": [*"abcd"], "split": ["test", "train", "test", "test"]})
    written = shards.Shards(tmp_path / "resized")
    test = photos_of("test", written.index, manifest, split)
    assert test.index.tolist() == [0, 5, 6], "the whole photos"
    assert test["subject"].fillna("").tolist() == [*("[0, 0, 1, 1]", "", "[0.1, 0.2, 0.3, 0.4]")]
    network = (recogniser / "model.tflite").read_bytes()
    rows = list(predictions.outputs(network, written, test.iloc[::-1], "test"))
    means = np.array([(40 + 10) / 2, 250, (200 + 0 + 120) / 3])
    logits = 0.01 * (means - 100)
    odds = np.exp(2 * logits)  # one species has the logit of the other with the other sign
    np.testing.assert_allclose(
        [row["probabilities"][1] for row in rows], odds / (1 + odds), rtol=1e-4
    )
    np.testing.assert_allclose([row["features"][0] for row in rows], means, rtol=1e-4)
    alone = predictions.predict(network, written, test, "alone")
    odds = np.exp(0.02 * (red[[0, 5, 6]] - 100.0))
    np.testing.assert_allclose(alone[:, 1], odds / (1 + odds), rtol=1e-4)


@pytest.fixture
def tested(tmp_path):
    """A report on seven pictures among others, each as grey as its position; two are alike."""
    photos = list("tuvwxyz")
    test = pd.DataFrame({"photo": photos, "species": [LABELS[i] for i in TARGETS], "box": None})
    test["path"] = test["photo"] + ".jpg"
    test["kind"] = SPECIES
    test["group"] = ["t", "u", "v", "w", "x", "y", "v"]  # the third and the last are of one group
    test.index = [3, 5, 8, 9, 11, 12, 15]
    pictures = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    shard_files.write(tmp_path / "resized", pd.DataFrame({"photo": range(16)}), pictures)
    facts = {
        "chosen": "tuned",
        "drawn": False,
        "precision": {"served": "float"},
        "keras_and_litert": {"pictures": 7, "same_label": 7, "largest_difference": 0.0},
    }
    test["location"] = None
    facets = pd.DataFrame({"light": ["day"] * 7})
    report = Report.of(test, PROBABILITIES, LABELS, CALIBRATION, facets, facts)
    return report, shards.Shards(tmp_path / "resized")


def test_a_report_is_written(tested, tmp_path):
    report, resized = tested
    report.summary["label_errors"] = {"first": [{"picture": 6}]}
    report.save(tmp_path, resized)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["chosen"] == "tuned"
    assert written["test"]["accuracy"] == 4 / 7
    assert written["trust"]["temperature"] == 1.2
    assert (written["intervals"]["by"], written["intervals"]["units"]) == ("group", 6)
    ends = written["intervals"]["accuracy"]
    assert 0.1 < ends["low"] < 4 / 7 < ends["high"] < 0.95
    assert [row["species"] for row in written["species"]] == list(LABELS)
    assert written["species"][0]["recall"] == 3 / 4
    assert written["species"][0]["recall_low"] < 3 / 4 < written["species"][0]["recall_high"]
    assert written["species"][3]["average_precision"] is None  # no dog is there
    assert sum(row["photos"] for row in written["confusion"]) == 7
    assert {row["picture"] for row in written["mistakes"]} == {5, 8}
    assert written["slices"] == []
    for picture in (5, 6, 8):
        assert (tmp_path / f"plots/photos/{picture}.jpg").is_file()
    assert all((tmp_path / name).exists() for name in FILES)
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert predictions.columns[0] == "photo" and "group" not in predictions
    assert predictions["photo"].tolist() == list("tuvwxyz")
    assert predictions["actual"].tolist() == ["ant", "bee", "ant", "cat", "ant", "ant", "cat"]
    assert predictions["predicted"].tolist() == ["ant", "ant", "dog", "cat", "ant", "ant", "bee"]
    assert predictions["probability"].tolist() == [0.7, 0.4, 0.45, 0.6, 0.8, 0.55, 0.4]
    sheet = Image.open(tmp_path / "plots" / "mistakes.png").convert("L")
    assert [sheet.getpixel((60 + 118 * i, 50)) for i in range(2)] == [8, 5]
    assert "accuracy 0.5714" in str(report)
    scores = {"accuracy": 0.5, "standard_error": 0.25, "macro_f1": 0.4, "log_loss": 1.5}
    report.summary["events"] = {"events": 3} | scores
    assert "pooled to 3 events: accuracy 0.5000 ± 0.2500, macro-F1 0.4000" in str(report)


def test_the_mistakes_of_the_highest_probability_come_first_and_near_duplicates_once(tested):
    report, resized = tested
    predictions = report.predictions
    assert predictions["group"].value_counts()["v"] == 2  # both are mistakes
    listed = confusion.mistakes(predictions)
    assert listed["picture"].tolist() == [8, 5]
    assert listed["photo"].tolist() == ["v", "u"]
    assert listed["alike"].tolist() == [1, 0]
    (row,) = plots.mistakes(listed, resized)
    assert [caption for _, caption in row] == ["ant: dog? 0.45", "bee: ant? 0.40"]
    assert [tile.max() for tile, _ in row] == [8, 5]  # each with its own picture
    apart = confusion.mistakes(predictions.assign(group=range(7)))
    assert apart["alike"].tolist() == [0, 0, 0]
    assert [len(row) for row in plots.mistakes(apart, resized, columns=2)] == [2, 1]
    subjects = confusion.mistakes(predictions.assign(box=list("abcdefg")))
    assert len(subjects) == 3  # of one photo, yet not one picture


def test_what_is_confused_most_comes_first_with_pictures_of_different_groups():
    pairs = [("owl", "cat")] * 3 + [("cat", "owl")] * 4 + [("cat", "cat")] * 5 + [("bee", "cat")]
    table = pd.DataFrame(pairs, columns=["actual", "predicted"], index=range(20, 33))
    table["probability"] = np.linspace(0.3, 0.9, 13)
    table["photo"], table["box"] = [f"p{i}" for i in range(13)], None
    table["group"] = [0, 0, 1, *range(2, 12)]
    rates = confusion.rates(table).set_index(["actual", "predicted"])
    assert rates.loc[("cat", "owl")].tolist() == [4, 4 / 9]
    assert rates.loc[("cat", "cat")].tolist() == [5, 5 / 9]
    assert rates.loc[("bee", "cat")].tolist() == [1, 1]
    assert len(rates) == 4
    found = confusion.confused_pairs(rates.reset_index(), confusion.mistakes(table))
    assert found["actual"].tolist() == ["cat", "owl", "bee"]
    assert found["photos"].tolist() == [4, 3, 1]
    assert found["examples"].tolist() == [[26, 25, 24, 23], [22, 21], [32]]


def test_int8_is_served_only_if_it_agrees():
    labels = np.array([0, 1, 2, 3] * 25)
    off = labels.copy()
    off[:5] = 3 - off[:5]
    assert conversion.require_same_labels(labels, off) == 0.95
    off[5] = 3 - off[5]
    with pytest.raises(UserError, match=r"94.0% .* set evaluate.precision to float"):
        conversion.require_same_labels(labels, off)


def test_pictures_are_answered_a_batch_at_a_time(tmp_path, monkeypatch):
    """Of a network that is not run, whose answer is the mean of a picture's channels."""

    class Mean:
        def outputs(self, picture):
            return {"probabilities": picture.mean(axis=(0, 1))}

        def map_ordered(self, function, pictures):
            in_memory.append(len(pictures))
            return map(function, pictures)

    grey = np.random.default_rng(0).integers(0, 256, (700, 4, 4, 3), dtype=np.uint8)
    shard_files.write(tmp_path / "resized", pd.DataFrame({"photo": range(700)}), grey)
    resized, in_memory = shards.Shards(tmp_path / "resized"), []
    monkeypatch.setattr(predictions, "Network", lambda _: Mean())
    chosen = np.random.default_rng(1).permutation(700)[:600]
    answers = predictions.predict(b"", resized, pd.DataFrame(index=chosen), "test")
    np.testing.assert_array_equal(answers, grey[chosen].mean(axis=(1, 2)))
    assert max(in_memory) <= 256
