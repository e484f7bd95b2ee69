from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.app import params_lines
from pipeline.core.errors import UserError

WRITTEN = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "params.yaml").write_bytes(WRITTEN.read_bytes())
    return tmp_path / "params.yaml"


def test_every_line_of_the_file_is_shown_with_its_value_and_comment(path):
    lines = {line["name"]: line for line in params_lines.listed(path)}
    yaml = YAML(typ="safe")
    values = {f"{s}.{k}": v for s, keys in yaml.load(WRITTEN).items() for k, v in keys.items()}
    assert lines.keys() == values.keys()
    for name, line in lines.items():
        if line["editable"]:
            assert yaml.load(line["value"] or "null") == values[name], name
    assert [name for name, line in lines.items() if not line["editable"]] == ["tune.space"]
    assert lines["ingest.min_side"]["help"] == "px; a smaller picture shows a network nothing"
    assert lines["ingest.source"]["help"].startswith("A folder of class folders")
    assert lines["split.folds"]["help"].endswith("1 learns from the training split alone")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.epochs", "41"),
        ("ingest.labels", "{panther: leopard}"),
        ("ingest.source", "/a folder/with blanks"),
        ("parallel.address", "tcp://10.0.0.1:8786"),
    ],
)
def test_a_change_changes_its_line_alone(path, name, value):
    params_lines.change(name, value, path)
    before, after = WRITTEN.read_text().splitlines(), path.read_text().splitlines()
    (at,) = [i for i, lines in enumerate(zip(before, after, strict=True)) if len(set(lines)) > 1]
    section, key = name.split(".")
    changed = YAML(typ="safe").load(path)
    assert changed[section][key] == YAML(typ="safe").load(value)
    assert after[at].partition("#")[2] == before[at].partition("#")[2]
    end = len(f"  {key}: {value}")  # the comment stays in its column, or as near as it can
    assert after[at].find("#") in (-1, max(before[at].find("#"), end + 2))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("train.epochs", "lots", r"^params.yaml line \d+: train.epochs is 'lots'"),
        ("train.epochs", "", "train.epochs is None"),
        ("train.epochs", "3\nseed: 1", "one line"),
        ("train.epochs", "3 # or four", "without a comment"),
        ("train.epochs", "[1", "is not valid YAML"),
        ("train.learning_speed", "1", "cannot be changed here"),
        ("tune.space", "{}", "cannot be changed here"),
    ],
)
def test_what_is_impossible_is_refused_and_the_file_stays(path, name, value, sentence):
    with pytest.raises(UserError, match=sentence):
        params_lines.change(name, value, path)
    assert path.read_bytes() == WRITTEN.read_bytes()
    assert list(path.parent.iterdir()) == [path]
