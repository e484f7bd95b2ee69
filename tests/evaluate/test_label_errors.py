"""Probable label errors, against cleanlab's."""

import numpy as np
import pandas as pd
import pytest
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_normalized_margin_for_each_label

from pipeline.evaluate import label_errors


def collection(seed, photos=600, species=5, wrong=0.1, sure=3.0):
    """Uneven species, some labels exchanged, and probabilities of a network of some skill."""
    rng = np.random.default_rng(seed)
    shows = rng.choice(species, photos, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    labels = np.where(rng.random(photos) < wrong, rng.integers(0, species, photos), shows)
    logits = rng.normal(size=(photos, species)) + sure * np.eye(species)[shows]
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    return probabilities / probabilities.sum(axis=1, keepdims=True), labels, shows


@pytest.mark.parametrize(("seed", "sure"), [(0, 3.0), (1, 1.5), (2, 0.7)])
def test_suspects_and_their_order_are_cleanlabs(seed, sure):
    probabilities, labels, _ = collection(seed, sure=sure)
    expected = find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    found = np.flatnonzero(label_errors.suspected(probabilities, labels))
    assert 10 < len(found) < 400
    assert set(found) == set(expected)
    margins = label_errors.margins(probabilities, labels)
    np.testing.assert_allclose(
        (margins + 1) / 2, get_normalized_margin_for_each_label(labels, probabilities)
    )
    assert found[np.argsort(margins[found])].tolist() == list(expected)


def test_a_species_that_nobody_named_is_suggested_for_none():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.9, 0.1, 0.0], [0.6, 0.4, 0.0]])
    assert label_errors.suspected(probabilities, np.array([0, 1, 0, 0])).tolist() == [False] * 4


def test_the_list_has_a_row_a_photo_with_its_path_and_picture(tmp_path):
    rng = np.random.default_rng(0)
    probabilities = np.tile([0.8, 0.15, 0.05], (20, 1))
    probabilities[10:] = [0.1, 0.85, 0.05]
    probabilities += rng.uniform(0, 0.01, probabilities.shape)
    own = np.array([0] * 10 + [1] * 10)
    own[[3, 15, 16]] = [1, 0, 0]
    photos = [f"p{i:02d}" for i in range(20)]
    photos[16] = "p15"  # two animals cut out of one photo
    probabilities[16] = [0.0, 0.95, 0.05]
    labels = ("owl", "cat", "bee")
    judged = pd.DataFrame({"photo": photos, "split": "train", "species": np.array(labels)[own]})
    judged["probabilities"] = list(probabilities)
    judged.loc[3, "split"] = "test"
    manifest = pd.DataFrame({"photo": photos[::-1]}).drop_duplicates()
    manifest["path"] = manifest["photo"] + ".jpg"
    judged.index += 1  # the first of the shards is of no split
    found = label_errors.find(judged, labels, manifest)
    assert found["photo"].tolist() == ["p15", "p03"]
    assert found["picture"].tolist() == [17, 4], "16 is the other animal of the same photo"
    assert found["path"].tolist() == ["p15.jpg", "p03.jpg"]
    assert found["split"].tolist() == ["train", "test"]
    assert found["species"].tolist() == ["owl", "cat"]
    assert found["suggested"].tolist() == ["cat", "owl"]
    assert found["probability"].tolist() == [0.95, probabilities[3, 0]]
    assert found["own_probability"].tolist() == [0, probabilities[3, 1]]
    section = label_errors.save(found, judged, tmp_path / "list.csv")
    assert (section["photos"], section["suspected"]) == (19, 2)
    assert section["first"][1]["picture"] == 4
    assert pd.read_csv(tmp_path / "list.csv")["suggested"].tolist() == ["cat", "owl"]
