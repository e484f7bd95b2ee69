import numpy as np
import pandas as pd
import pytest

from pipeline.evaluate import taxonomy_fit
from pipeline.inference.taxonomy import RANKS

LABELS = ("fox", "jaguar", "leopard", "owl")
MANIFEST = pd.DataFrame(
    [
        ("leopard", "Panthera", "Mammalia"),
        ("leopard", "Pantera", "Mammalia"),  # somebody's slip
        ("leopard", "Panthera", None),
        ("jaguar", "Panthera", "Mammalia"),
        ("fox", "Vulpes", "Mammalia"),
        ("owl", None, "Aves"),
    ],
    columns=["species", "genus", "class"],
).reindex(columns=["species", *RANKS[1:]])
NAMES = taxonomy_fit.names(MANIFEST, LABELS)


def answers(count, seed):
    """Cats are told from each other by hardly more than chance, all else well."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(4, count, p=[0.3, 0.25, 0.25, 0.2])
    logits = rng.normal(0, 1, (count, 4))
    cats = np.isin(targets, [1, 2])
    logits[np.arange(count), targets] += np.where(cats, 0.9, 3.0)
    logits[cats, 1:3] += 2.5
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True), targets


def test_ranks_are_those_that_most_photos_of_a_species_have():
    assert NAMES["genus"] == ["Vulpes", "Panthera", "Panthera", "owl"]
    assert NAMES["family"] == NAMES["species"] == list(LABELS)
    assert NAMES["class"] == ["Mammalia"] * 3 + ["Aves"]
    alone = MANIFEST[MANIFEST["species"].isin(["fox", "owl"])]
    assert taxonomy_fit.names(alone, ("fox", "owl")) is None
    assert taxonomy_fit.fit(None, *answers(50, 0)) is None


def by_hand(taxonomy, row, target):
    """Climbs the ranks one photo at a time; gives the rank and whether the answer is right."""
    for rank in RANKS:
        names = taxonomy.names[rank]
        sums = {name: sum(p for p, other in zip(row, names, strict=True) if other == name)
                for name in names}  # fmt: skip
        best = max(sums, key=sums.get)
        if sums[best] >= taxonomy.sure_from[int(np.argmax(row))]:
            return rank, best == names[target]
    return None, False


def test_the_threshold_keeps_what_it_promises_on_other_photos():
    taxonomy = taxonomy_fit.fit(NAMES, *answers(3000, 1))
    fox, jaguar, leopard, owl = taxonomy.sure_from
    assert fox < 0.6 and owl < 0.6 and 0.6 < min(jaguar, leopard) <= max(jaguar, leopard) < 0.95
    probabilities, targets = answers(3000, 2)
    told = [by_hand(taxonomy, row, t) for row, t in zip(probabilities, targets, strict=True)]
    mistaken = np.array([rank is not None and not right for rank, right in told])
    for species in (1, 2):
        alike = probabilities.argmax(axis=1) == species
        assert mistaken[alike].mean() == pytest.approx(0.05, abs=0.02), LABELS[species]
    wrong = mistaken.mean()
    assert wrong < 0.05
    section = taxonomy_fit.tested(taxonomy, probabilities, targets)["ranks"]
    assert section["not_wrong"] == pytest.approx(1 - wrong)
    assert section["no_answer"] == pytest.approx(np.mean([rank is None for rank, _ in told]))
    for rank in ("species", "genus", "class"):
        here = [right for other, right in told if other == rank]
        assert section[rank]["answered"] == pytest.approx(len(here) / 3000)
        assert section[rank]["right"] == pytest.approx(np.mean(here))
    assert section["family"]["right"] is None
    assert section["species"]["accuracy"] < section["genus"]["accuracy"] - 0.1
    assert section["species"]["accuracy"] == pytest.approx(
        (probabilities.argmax(axis=1) == targets).mean()
    )


@pytest.mark.parametrize(("count", "lowest"), [(18, 0.995), (19, 0.2)])
def test_one_more_photo_is_counted_as_wrong(count, lowest):
    """By conformal risk control: (0 + 1) / (n + 1) is 0.05 from 19 photos on."""
    right = np.full((count, 4), 0.001)
    right[:, 3] = 0.997
    assert taxonomy_fit.fit(NAMES, right, np.full(count, 3)).sure_from == [lowest] * 4


def test_few_photos_make_it_careful():
    few, many = (taxonomy_fit.fit(NAMES, *answers(count, 3)).sure_from for count in (100, 3000))
    assert np.mean(few) > np.mean(many)


def test_a_species_of_few_photos_has_the_threshold_of_all():
    """Of the fox, 18 look most like one and are right; half of the owls are jaguars."""
    fox, owl, doubtful = [0.9, 0, 0, 0.1], [0, 0.1, 0, 0.9], [0, 0.3, 0.1, 0.6]
    for foxes, of_fox in ((18, 0.605), (19, 0.2)):
        rows = np.array([fox] * foxes + [owl] * 200 + [doubtful] * 20)
        targets = np.array([0] * foxes + [3] * 200 + [1] * 20)
        sure_from = taxonomy_fit.fit(NAMES, rows, targets).sure_from
        assert sure_from == [of_fox, 0.605, 0.605, 0.605], foxes


def test_without_a_taxonomy_nothing_is_reported():
    assert taxonomy_fit.tested(None, *answers(5, 0)) == {}
