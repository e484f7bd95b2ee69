from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluate import calibration_fit, events
from pipeline.inference.calibration import Calibration
from pipeline.inference.pooling import pooled

LABELS = ("blank", "fox", "owl")
CALIBRATION = Calibration(temperature=0.5, unknown_below=0.3, set_from=0.1)


def frames(number=60, frames=4, seed=0):
    """Events of fox or owl; each frame shows its animal but for one in three, which is blank."""
    rng = np.random.default_rng(seed)
    rows = []
    for event in range(number):
        shown = LABELS[1 + (event % 3 == 0)]
        for frame in range(frames):
            species = "blank" if frame % 3 == 2 else shown
            concentration = np.where(np.array(LABELS) == species, 2.5, 1.0)
            rows.append((f"{event}-{frame}", f"e{event}", species, rng.dirichlet(concentration)))
    columns = ["photo", "event", "species", "probabilities"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed)


def test_an_event_shows_the_animal_of_most_of_its_frames_or_nothing():
    shown = pd.Series(["blank", "blank", "fox", "owl", "owl", "blank", "blank", "fox"])
    event = pd.Series(["b", "b", "b", "a", "a", "c", "c", "a"])
    assert events.species(shown, event).to_dict() == {"a": "owl", "b": "fox", "c": "blank"}


def test_events_are_judged_where_most_photos_have_company():
    assert events.occur(pd.Series(list("aabbc")))
    assert events.occur(pd.Series(list("aabc")))
    assert not events.occur(pd.Series(list("aabcd")))
    held_out = frames(frames=1)
    event = held_out.set_index("photo")["event"]
    assert events.fit(held_out, event, CALIBRATION, LABELS) is None


def test_the_pooling_is_fitted_to_the_calibrated_answers_of_whole_events():
    held_out = frames()
    event = held_out.set_index("photo")["event"]
    chosen = events.fit(held_out.drop(columns="event"), event, CALIBRATION, LABELS)
    squared = np.stack(held_out["probabilities"]) ** 2  # a temperature of 0.5
    squared /= squared.sum(axis=1, keepdims=True)
    number = held_out["event"].str[1:].astype(int).to_numpy()
    targets = np.array([1 + (event % 3 == 0) for event in range(60)])
    losses = {}
    for mean in ("geometric", "arithmetic"):
        answers = pooled(mean, squared, number, LABELS)
        calibration = calibration_fit.fit(answers, targets)
        likely = calibration.apply(answers)[np.arange(60), targets]
        losses[mean] = -np.log(likely).mean()
        if mean == chosen.mean:
            assert asdict(chosen.calibration) == pytest.approx(asdict(calibration))
    assert abs(losses["geometric"] - losses["arithmetic"]) > 1e-3, "the data tell them apart"
    assert chosen.mean == min(losses, key=losses.get)


def test_the_numbers_of_events_are_those_of_their_pooled_answers():
    test = frames(number=21, frames=5, seed=4)
    fitted = frames()
    pooling = events.fit(fitted, fitted.set_index("photo")["event"], CALIBRATION, LABELS)
    probabilities = np.stack(test["probabilities"])
    numbers = events.tested(pooling, test, probabilities, LABELS)["events"]
    right, recalls = 0, {"fox": [], "owl": []}
    for event, rows in test.groupby("event"):
        places = test.index.get_indexer(rows.index)
        answer = pooling.answers(probabilities[places], np.zeros(5, int), LABELS)[0]
        actual = "owl" if int(event[1:]) % 3 == 0 else "fox"
        hit = LABELS[answer.argmax()] == actual
        right += hit
        recalls[actual].append(hit)
    assert (numbers["events"], numbers["frames"]) == (21, 105)
    assert numbers["accuracy"] == pytest.approx(right / 21)
    assert 0.5 < numbers["accuracy"] < 1
    assert numbers["species"] == {
        name: {"recall": pytest.approx(np.mean(hits)), "support": len(hits)}
        for name, hits in recalls.items()
    }
