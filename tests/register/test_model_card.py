import pandas as pd
from ruamel.yaml import YAML

from pipeline.register import model_card

SPECIES = pd.DataFrame(
    {
        "species": ["<b>cat</b>", "owl|barn", "newt"],
        "precision": [0.5, 1.0, 0.25],
        "recall": [0.8, 0.75, 0.0],
        "f1": [0.6, 0.857, 0.0],
        "support": [40, 4, 0],
    }
)
SPLIT = pd.DataFrame(
    {
        "species": ["<b>cat</b>"] * 5 + ["owl|barn"] * 3,
        "split": ["train"] * 3 + ["validation", "test"] + ["train"] * 2 + ["test"],
    }
)
MANIFEST = pd.DataFrame({"origin": ["ann", None, "ann"], "licence": ["CC0-1.0", None, "CC0-1.0"]})


def card(drawn=False, **sections):
    test = {"photos": 44, "accuracy": 0.79545, "macro_f1": 0.7, "log_loss": 0.5}
    metrics = {"test": test | {"calibration_error": 0.0123}, "drawn": drawn} | sections
    metrics["intervals"] = {"level": 0.95, "accuracy": {"low": 0.65, "high": 0.9}}
    settings, made = {"train.epochs": "8"}, {"by": "ann <ann@example.org>"}
    return model_card.write(metrics, SPECIES, MANIFEST, SPLIT, settings, made)


def test_names_from_outside_are_no_markup():
    assert "<b>" not in card() and "<ann@" not in card()
    assert "| &lt;b&gt;cat&lt;/b&gt; | 3 | 40 | 0.500 | 0.800 | 0.600 |" in card()
    assert "| owl\\|barn | 2 | 4 | 1.000 | 0.750 | 0.857 |" in card()


def test_the_worst_species_is_one_that_was_tested():
    """Newts were not, so that none of them was found says nothing."""
    assert "- It finds owl\\|barn worst: 75% of 4 photos.\n" in card()
    assert "numbers of owl\\|barn.\n" in card()


def test_the_counts_are_those_of_the_split_and_the_manifest():
    page = card()
    assert "6 photos trained it or chose between networks; 2 others tested" in page
    assert "| origin | licence | photos |\n| --- | --- | --- |\n| ann | CC0-1.0 | 2 |\n" in page
    assert "| not stated | not stated | 1 |" in page


def test_the_limits_are_a_list_and_drawn_pictures_are_named():
    for drawn in (False, True):
        page = card(drawn)
        limits = page.split("## Limits\n\n")[1].split("\n\n## Made")[0].splitlines()
        assert len(limits) == 5 + drawn
        assert all(line.startswith("- ") for line in limits), page
    assert limits[-1] == "- Its pictures are drawn by code: this says nothing about real photos."


def test_the_head_is_what_the_hub_reads():
    """`model-index` as Hugging Face documents it: each result has a task, a dataset, metrics."""
    _, head, body = card().split("---\n", 2)
    found = YAML(typ="safe").load(head)
    assert body.lstrip().startswith("# animal")
    assert (found["library_name"], found["pipeline_tag"]) == ("keras", "image-classification")
    assert "photos-from-ann" in found["tags"]
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"]["split"] == "test" and "44" in result["dataset"]["name"]
    values = {metric["type"]: metric for metric in result["metrics"]}
    assert {kind: metric["value"] for kind, metric in values.items()} == {
        "accuracy": 0.79545,
        "f1": 0.7,
        "log_loss": 0.5,
    }
    assert values["accuracy"]["name"] == "accuracy (95% interval 0.6500 to 0.9000)"


def test_names_from_outside_cannot_write_the_head():
    manifest = pd.DataFrame({"origin": ["x\n---\nlicense: mine"], "licence": [None]})
    metrics = {"test": {"photos": 44, "accuracy": 0.8, "macro_f1": 0.7, "log_loss": 0.5}}
    metrics["test"]["calibration_error"], metrics["drawn"] = 0.01, False
    page = model_card.write(metrics, SPECIES, manifest, SPLIT, {}, {})
    head = page[4 : page.index("\n---\n\n# animal")]
    found = YAML(typ="safe").load(head)
    assert "license" not in found
    assert "x-license-mine" in str(found), "a name is one word, of letters and dashes"


def test_what_is_called_unknown_and_what_worse_pictures_do_is_told():
    trust = {"unknown": 0.0521, "no_animal": 0.0123, "promised_coverage": 0.98, "coverage": 0.9765}
    under = [("blur", 0.9), ("noise", 0.42), ("fog", 0.7)]
    worse = {"photos": 37, "clean_accuracy": 0.973, "accuracy": 0.812}
    worse["corruptions"] = [{"corruption": name, "accuracy": share} for name, share in under]
    page = card(trust=trust, robustness=worse)
    assert "calls 5.2% unknown, among them 1.2% no animal" in page
    assert "right species of 98% of the photos, and held that of 97.7%" in page
    assert "Of 37 test photos it named 97% rightly as they are, and 81% of" in page
    assert "worst under noise: 42%" in page
