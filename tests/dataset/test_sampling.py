import pandas as pd

from pipeline.dataset.sampling import sample


def test_a_sample_has_every_species_in_turn():
    species = ["ant"] * 60 + ["bee"] * 3 + ["cat"] * 30
    pictures = pd.DataFrame({"species": species}, index=range(100, 193))
    drawn = sample(pictures, 20)
    assert drawn["species"].value_counts().to_dict() in (
        {"ant": 9, "cat": 8, "bee": 3},
        {"ant": 8, "cat": 9, "bee": 3},
    )
    assert drawn.index.is_monotonic_increasing
    assert drawn.equals(sample(pictures, 20)), "the same call drew other pictures"
    assert not drawn.equals(pictures.groupby("species").head(9)), "the first ones were taken"
    for count in (93, 500, "all"):
        assert sample(pictures, count).equals(pictures)
