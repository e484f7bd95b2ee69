import numpy as np
import pandas as pd
import pytest

from pipeline.evaluate import open_set_fit
from pipeline.inference.calibration import Calibration
from pipeline.networks.backbones import Classifier

LABELS = ("ant", "bee")
CALIBRATION = Calibration(temperature=0.5, unknown_below=0.6, set_from=0.1)
ANIMALS, THINGS = np.arange(1000) < 398, np.arange(1000) >= 398
# Its last feature is the logarithm of how much more probable an animal is than a thing.
IMAGENET = Classifier("it", np.outer([0, 1], ANIMALS), -np.log(np.where(ANIMALS, 398, 602)))
COUNT = 400


def held_out(validation=COUNT // 4):
    """Photos at every second place of the shards, the first of them of the validation split."""
    rng = np.random.default_rng(0)
    right = rng.uniform(0.55, 0.95, COUNT)
    bees = np.arange(COUNT) % 3 == 0
    table = pd.DataFrame(
        {
            "photo": [f"p{i}" for i in range(COUNT)],
            "split": ["validation"] * validation + ["train"] * (COUNT - validation),
            "species": np.where(bees, "bee", "ant"),
            "probabilities": list(np.where(bees, [1 - right, right], [right, 1 - right]).T),
            "largest_logit": rng.normal(5, 1, COUNT),
            "right": True,
        },
        index=range(0, 2 * COUNT, 2),
    )
    return table


SPLIT = pd.DataFrame(
    {
        "photo": [f"p{i}" for i in reversed(range(COUNT))],
        "group": [f"g{i // 2}" for i in reversed(range(COUNT))],
        "fold": pd.array([i // 2 % 3 for i in reversed(range(COUNT))], "Int64"),
    }
)


def features(animal=0.9, seed=1):
    """Features of each photo, of an animal with such a probability; bees differ in the second."""
    rng = np.random.default_rng(seed)
    bees = np.arange(COUNT) % 3 == 0
    noise = rng.normal(np.outer(bees, (0, 6, 0, 0)))
    animal = np.broadcast_to(animal, COUNT)
    return np.column_stack([noise, np.log(animal / (1 - animal))])


def test_photos_are_described_by_what_a_head_said_that_had_not_learned_from_them():
    table = held_out()
    photos = open_set_fit.photos(table, LABELS, CALIBRATION, SPLIT)
    assert photos.index.tolist() == table.index.tolist()
    squared = np.square(np.stack(table["probabilities"]))
    np.testing.assert_allclose(photos["probability"], (squared / squared.sum(1)[:, None]).max(1))
    assert (photos["predicted"] == photos["species"]).all()
    assert photos["fold"].tolist() == [i // 2 % 3 for i in range(COUNT)]


def test_where_training_had_no_folds_groups_are_kept_together():
    photos = open_set_fit.photos(held_out(), LABELS, CALIBRATION, SPLIT.assign(fold=pd.NA))
    assert photos["fold"].nunique() == open_set_fit.FOLDS
    assert photos.groupby(np.arange(COUNT) // 2)["fold"].nunique().max() == 1


def test_photos_whose_features_training_has_are_drawn():
    table = held_out()
    features = pd.Series([np.full(2, i) for i in range(3)], table.index[[7, 300, 8]])
    photos = open_set_fit.photos(table.assign(features=features), LABELS, CALIBRATION, SPLIT)
    assert photos["photo"].tolist() == ["p7", "p8", "p300"]
    assert np.stack(photos["features"]).tolist() == [[0, 0], [2, 2], [1, 1]]


def test_one_known_photo_in_twenty_is_unknown_by_what_was_fitted_to_others():
    photos = open_set_fit.photos(held_out(), LABELS, CALIBRATION, SPLIT)
    fitted = open_set_fit.fit(photos, features(), 0.6, IMAGENET)
    assert fitted.held_out["unknown"].mean() == pytest.approx(0.05)
    assert fitted.rule.imagenet.animal_from == 0.3
    assert len(fitted.rule.imagenet.animals) == 398
    answers = fitted.validation_answers()
    assert answers.index.tolist() == list(range(0, COUNT // 2, 2))
    assert set(answers) == {"species", "probability", "unknown"}
    assert fitted.rule.novelty is not None


@pytest.mark.parametrize(("things", "limit"), [(3, 0.3), (40, 0.2)])
def test_a_collection_of_things_lowers_what_no_animal_means(things, limit):
    """A species of which ImageNet's classifier sees no animal is still answered: `blank`, say."""
    animal = np.full(COUNT, 0.9)
    animal[:things] = 0.2
    photos = open_set_fit.photos(held_out(), LABELS, CALIBRATION, SPLIT)
    fitted = open_set_fit.fit(photos, features(animal), 0.6, IMAGENET)
    assert fitted.rule.imagenet.animal_from == pytest.approx(limit)
    flagged = animal < fitted.rule.imagenet.animal_from - 1e-9
    assert flagged.mean() <= open_set_fit.FALSE_ALARMS
    assert fitted.held_out["unknown"].to_numpy()[flagged].all()


def test_without_a_classifier_and_with_few_photos_the_probability_decides():
    photos = open_set_fit.photos(held_out(), LABELS, CALIBRATION, SPLIT).iloc[:8]
    fitted = open_set_fit.fit(photos, features()[:8], 0.9, None)
    assert (fitted.rule.novelty, fitted.rule.imagenet) == (None, None)
    assert fitted.held_out["unknown"].tolist() == (photos["probability"] < 0.9).tolist()
