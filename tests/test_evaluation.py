import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import evaluation
from pipeline.calibration import Calibration
from pipeline.errors import UserError
from pipeline.export import Agreement
from pipeline.scores import Score

LABELS = ("ant", "bee", "cat", "dog")
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.1, 0.2, 0.3, 0.4],
        [0.1, 0.2, 0.6, 0.1],
    ]
)
TARGETS = np.array([0, 1, 0, 2])
CALIBRATION = Calibration(temperature=1.2, unknown_below=0.5, set_from=0.3)


def candidate(name: str, accuracy: float, log_loss: float) -> evaluation.Candidate:
    return evaluation.Candidate(Path(name), "run", LABELS, Score(4, accuracy, 0.1, log_loss))


def judged(folder: Path, right: list[bool], first: int = 0) -> evaluation.Candidate:
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
    assert evaluation.better(first, second).folder.name == chosen


def test_only_photos_that_judged_both_are_compared(tmp_path):
    """Where blocks are trained, those of the validation split alone are held out."""
    trained = judged(tmp_path / "trained", [1] * 50 + [0] * 10 + [1] * 10)
    tuned = judged(tmp_path / "tuned", [1] * 20, first=50)
    assert evaluation.better(trained, tuned) is tuned
    assert evaluation.better(tuned, trained) is tuned


def test_the_numbers_by_hand():
    summary = evaluation.summarise(PROBABILITIES, TARGETS)
    assert summary["accuracy"] == 0.5
    assert summary["top3"] == 0.75
    # ant: precision 1/2, recall 1/2; bee: never right; cat: all right; dog does not occur
    assert summary["macro_f1"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert summary["log_loss"] == pytest.approx(-np.log([0.7, 0.3, 0.1, 0.6]).mean())


def test_what_a_calibration_promises_is_counted_by_hand():
    found = evaluation.trust(CALIBRATION, PROBABILITIES, TARGETS)
    assert found["temperature"] == 1.2
    assert found["unknown"] == 0.5  # 0.4 and 0.4
    assert found["accuracy_of_known"] == 1
    assert found["coverage"] == 0.75  # the third photo's set is cat and dog
    assert found["set_size"] == (1 + 2 + 2 + 1) / 4


def test_each_species_has_its_row():
    table = evaluation.per_species(PROBABILITIES, TARGETS, LABELS).set_index("species")
    assert table["support"].tolist() == [2, 1, 1, 0]
    assert table.loc["ant", ["precision", "recall", "f1"]].tolist() == [0.5, 0.5, 0.5]


def test_the_photos_of_a_split_keep_their_places_in_the_shards():
    index = pd.DataFrame({"photo": ["a", "b", "c"], "species": ["ant", "bee", "ant"]})
    index["box"] = [None, None, "[0, 0, 1, 1]"]
    manifest = pd.DataFrame({"photo": ["c", "b", "a"], "path": ["3.jpg", "2.jpg", "1.jpg"]})
    split = pd.DataFrame({"photo": ["b", "a", "c"], "split": ["train", "test", "test"]})
    test = evaluation.photos_of("test", index, manifest, split)
    assert test.index.tolist() == [0, 2]
    assert test["path"].tolist() == ["1.jpg", "3.jpg"]
    assert test["box"].isna().tolist() == [True, False]


def test_a_report_is_written_with_the_surest_mistake_first(tmp_path):
    test = pd.DataFrame(
        {
            "photo": list("wxyz"),
            "path": [f"{name}.jpg" for name in "wxyz"],
            "species": [LABELS[i] for i in TARGETS],
            "box": None,
        },
        index=[3, 5, 8, 9],
    )
    agreement = Agreement(4, 4, 0.0)
    both = {"float": PROBABILITIES, "int8": PROBABILITIES}
    found = CALIBRATION, agreement, evaluation.Precisions.of("float", both, both, TARGETS)
    chosen = candidate("tuned", 0.9, 0.4)
    report = evaluation.Report.of(test, PROBABILITIES, chosen, *found, False)
    assert report.predictions["predicted"].tolist() == ["ant", "ant", "dog", "cat"]
    pictures = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    mistakes = report._mistakes(pictures)
    assert [caption for _, caption in mistakes[0]] == ["bee: ant? 0.40", "ant: dog? 0.40"]
    assert mistakes[0][1][0].max() == 2  # the picture of the third photo
    report.save(tmp_path, pictures)
    assert json.loads((tmp_path / "metrics.json").read_text())["chosen"] == "tuned"
    assert all(path.exists() for path in report.files(tmp_path))
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 4
    for name in ("confusion", "mistakes"):
        assert Image.open(tmp_path / "plots" / f"{name}.png").width > 50
    assert "accuracy 0.5000" in str(report)


def test_both_precisions_are_judged_and_int8_is_served_only_if_it_agrees():
    off = PROBABILITIES[[0, 1, 2, 0]]
    seen, test = {"float": off, "int8": off}, {"float": PROBABILITIES, "int8": off}
    found = evaluation.Precisions.of("float", seen, test, TARGETS)
    assert (found.float.accuracy, found.int8.accuracy) == (0.5, 0.25)
    assert (found.same_label, found.served, found.other) == (1, "float", "int8")
    with pytest.raises(UserError, match=r"75.0% .* set evaluate.precision to float"):
        evaluation.Precisions.of("int8", test, seen, TARGETS)
