import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from pipeline.inference.calibration import Calibration
from pipeline.inference.pooling import Pooling, pooled

LABELS = ["owl", "blank", "fox"]
CALIBRATION = Calibration(temperature=2.0, unknown_below=0.4, set_from=0.1)
FRAMES = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
EVENT = np.array([1, 0, 1, 1])


def by_hand(mean):
    """Of the event of three frames: each says owl or fox as loudly as it sees an animal."""
    seen = [0.7, 0.3, 0.9]
    owl = [0.6 / 0.7, 0.2 / 0.3, 0.1 / 0.9]
    if mean == "geometric":
        logs = [
            sum(w * math.log(p) for w, p in zip(seen, side, strict=True)) / sum(seen)
            for side in (owl, [1 - p for p in owl])
        ]
        share = math.exp(logs[0]) / (math.exp(logs[0]) + math.exp(logs[1]))
    else:
        share = sum(w * p for w, p in zip(seen, owl, strict=True)) / sum(seen)
    return [share * 0.9, 0.1, (1 - share) * 0.9]  # the surest frame is blank with 0.1


@pytest.mark.parametrize("mean", ["geometric", "arithmetic"])
def test_frames_are_pooled_by_how_surely_they_show_an_animal(mean):
    answers = pooled(mean, FRAMES, EVENT, LABELS)
    assert answers[0].tolist() == pytest.approx(FRAMES[1].tolist()), "one frame is its event"
    assert answers[1].tolist() == pytest.approx(by_hand(mean))


def test_without_blank_each_frame_counts_alike():
    frames = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    logs = np.log(frames).mean(axis=0)
    answers = pooled("geometric", frames, np.zeros(3, int), ["owl", "fox"])
    assert answers[0].tolist() == pytest.approx((np.exp(logs) / np.exp(logs).sum()).tolist())
    answers = pooled("arithmetic", frames, np.zeros(3, int), ["owl", "fox"])
    assert answers[0].tolist() == pytest.approx([0.5, 0.5])


def test_one_frame_cannot_rule_out_what_the_others_are_sure_of():
    frames = np.array([[1.0, 0.0]] + [[0.0, 1.0]] * 4)
    assert pooled("geometric", frames, np.zeros(5, int), ["owl", "fox"])[0, 1] > 0.95


def test_what_evaluate_chose_is_read_again_and_applied(tmp_path):
    chosen = Pooling("arithmetic", CALIBRATION)
    (tmp_path / "pooling.json").write_bytes(chosen.written())
    read = Pooling.load(tmp_path)
    assert read == chosen
    roots = np.sqrt(by_hand("arithmetic"))  # a temperature of 2
    assert read.answers(FRAMES, EVENT, LABELS)[1].tolist() == pytest.approx(
        (roots / roots.sum()).tolist()
    )
    assert json.loads(chosen.written())["calibration"] == asdict(CALIBRATION)


def test_a_recogniser_of_single_photos_pools_what_is_calibrated_already(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({"calibration": asdict(CALIBRATION)}))
    pooling = Pooling.load(tmp_path)
    assert pooling.answers(FRAMES, EVENT, LABELS)[1].tolist() == pytest.approx(by_hand("geometric"))
    assert pooling.calibration.unknown_below == 0.4
