import numpy as np
import pytest

from pipeline.inference.taxonomy import RANKS, Taxonomy

NAMES = {
    "species": ["leopard", "jaguar", "red fox", "blank", "owl"],
    "genus": ["Panthera", "Panthera", "Vulpes", "blank", "owl"],
    "family": ["Felidae", "Felidae", "Canidae", "blank", "owl"],
    "order": ["Carnivora"] * 3 + ["blank", "Strigiformes"],
    "class": ["Mammalia"] * 3 + ["blank", "Aves"],
}
TAXONOMY = Taxonomy(NAMES, sure_from=0.8)


@pytest.mark.parametrize(
    ("probabilities", "rank", "name", "probability"),
    [
        ([0.85, 0.05, 0.0, 0.05, 0.05], "species", "leopard", 0.85),
        ([0.45, 0.40, 0.05, 0.05, 0.05], "genus", "Panthera", 0.85),
        ([0.40, 0.10, 0.35, 0.10, 0.05], "order", "Carnivora", 0.85),
        ([0.05, 0.05, 0.05, 0.80, 0.05], "species", "blank", 0.80),
        ([0.20, 0.20, 0.20, 0.30, 0.10], None, None, 0.60),
    ],
)
def test_the_lowest_taxon_that_is_sure_is_the_answer(probabilities, rank, name, probability):
    found = TAXONOMY.answer(np.array(probabilities))
    assert found == {
        "rank": rank,
        "taxon": name,
        "taxon_probability": pytest.approx(probability),
    }


def test_how_sure_an_answer_must_be_depends_on_the_likeliest_species():
    """Both look most like a leopard or a jaguar by half, and a jaguar is trusted from there on."""
    taxonomy = Taxonomy(NAMES, sure_from=[0.9, 0.5, 0.9, 0.9, 0.9])
    leopard, jaguar = np.array([0.55, 0.4, 0.05, 0, 0]), np.array([0.4, 0.55, 0.05, 0, 0])
    assert taxonomy.answer(leopard)["taxon"] == "Panthera"
    assert taxonomy.answer(jaguar)["taxon"] == "jaguar"
    assert taxonomy.least(np.stack([jaguar, leopard])).tolist() == [0.5, 0.9]


def test_it_is_read_as_it_was_written(tmp_path):
    assert Taxonomy.load(tmp_path) is None
    (tmp_path / "taxonomy.json").write_bytes(TAXONOMY.written())
    assert Taxonomy.load(tmp_path) == TAXONOMY
    assert set(NAMES) == set(RANKS)
