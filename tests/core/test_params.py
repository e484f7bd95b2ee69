import re
from pathlib import Path

import pytest

from pipeline.core import params
from pipeline.core.errors import UserError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def written(tmp_path):
    """A copy of the repository's params.yaml."""
    path = tmp_path / "params.yaml"
    path.write_bytes((REPOSITORY / "params.yaml").read_bytes())
    return path


def line_of(path, name):
    """Number (from 1) of the line of `section` or `section.key`."""
    lines = path.read_text().splitlines()
    section, _, key = name.partition(".")
    number = next(i for i, line in enumerate(lines) if line.startswith(f"{section}:"))
    if key:
        pattern = re.compile(rf"\s+{re.escape(key)}:")
        number = next(i for i in range(number + 1, len(lines)) if pattern.match(lines[i]))
    return number + 1


def change(path, name, value):
    """Writes another value behind a key; returns the number of its line."""
    number = line_of(path, name)
    lines = path.read_text().splitlines()
    lines[number - 1] = re.sub(r"^(\s*[^:\s]+:).*$", lambda m: f"{m[1]} {value}", lines[number - 1])
    path.write_text("\n".join(lines) + "\n")
    return number


def mistake(path):
    with pytest.raises(UserError) as caught:
        params.load(path)
    return str(caught.value)


def test_params_of_the_repository_load():
    p = params.load(REPOSITORY / "params.yaml")
    assert p.split.train + p.split.validation + p.split.test == pytest.approx(1)
    assert 0 <= p.register_.min_accuracy <= 1
    assert p.tune.space


def test_params_are_frozen(written):
    p = params.load(written)
    with pytest.raises(ValueError, match="frozen"):
        p.resize.size = 3


@pytest.mark.parametrize(
    ("name", "value", "found", "allowed"),
    [
        ("ingest.find", "[]", "[]", "at least 1 item"),
        ("resize.size", '"224"', "'224'", "integer"),
        ("resize.size", "224.5", "224.5", "integer"),
        ("resize.size", "224.0", "224.0", "integer"),
        ("resize.size", "8", "8", "greater than or equal to 32"),
        ("resize.size", "", "None", "integer"),
        ("resize.size", "[224]", "[224]", "integer"),
        ("resize.fit", "squash", "'squash'", "'crop', 'pad' or 'stretch'"),
        ("ingest.source", "12", "12", "string"),
        ("ingest.source", '""', "''", "at least 1 character"),
        ("ingest.min_per_species", "2", "2", "greater than or equal to 3"),
        ("ingest.near_duplicate_bits", "17", "17", "less than or equal to 16"),
        ("ingest.max_pixels", "1_000_000_000", "1000000000", "less than or equal to"),
        ("augment.copies", "true", "True", "integer"),
        ("augment.rotation", "true", "True", "number"),
        ("augment.rotation", "15 degrees", "'15 degrees'", "number"),
        ("augment.rotation", ".nan", "nan", "finite"),
        ("augment.shift", "0.6", "0.6", "less than or equal to 0.5"),
        ("augment.flip_horizontal", "-0.1", "-0.1", "greater than or equal to 0"),
        ("augment.seed", "-1", "-1", "greater than or equal to 0"),
        ("augment.seed", "4294967296", "4294967296", "less than 4294967296"),
        ("model.dropout", "1.0", "1.0", "less than 1"),
        ("resize.fit", "yes", "'yes'", "'crop', 'pad' or 'stretch'"),
        ("resize.crop", "true", "True", "'auto', 'none', 'boxes' or 'views'"),
        ("train.epochs", "0", "0", "greater than or equal to 1"),
        ("train.learning_rate", "0", "0", "greater than 0"),
        ("train.learning_rate", ".nan", "nan", ""),
        ("train.learning_rate", ".inf", "inf", ""),
        ("train.weight_decay", ".inf", "inf", ""),
        ("tune.time_budget", "0", "0", "greater than 0"),
        ("register.min_accuracy", "70", "70", "less than or equal to 1"),
        ("parallel.jobs", "-2", "-2", "greater than or equal to -1"),
    ],
)
def test_mistaken_value_names_line_key_found_and_allowed(written, name, value, found, allowed):
    line = change(written, name, value)
    message = mistake(written)
    assert f"{written} line {line}: {name} is {found}" in message
    assert allowed in message
    assert len(message.splitlines()) == 1


def test_weights_are_a_word_or_a_file_that_dvc_sees(written, tmp_path, monkeypatch):
    line = change(written, "model.weights", "coco")
    expected = (
        f"line {line}: model.weights: 'coco' is neither imagenet, none nor the path of a file"
    )
    assert expected in mistake(written)
    (tmp_path / "mine.h5").touch()
    change(written, "model.weights", str(tmp_path / "mine.h5"))
    assert "mine.h5' is outside data/weights" in mistake(written)
    monkeypatch.chdir(tmp_path)
    Path("data/weights").mkdir(parents=True)
    Path("data/weights/mine.h5").symlink_to(tmp_path / "mine.h5")
    for path in ("data/weights/mine.h5", str(tmp_path / "data" / "weights" / "mine.h5")):
        change(written, "model.weights", path)
        assert params.load(written).model.weights == path
    change(written, "model.weights", "data/weights/../../mine.h5")
    assert "mine.h5' is outside data/weights" in mistake(written)


def test_sources_of_boxes_are_one_or_several(written):
    for value, sources in (("motion", ["motion"]), ("[boxes, detector]", ["boxes", "detector"])):
        change(written, "ingest.find", value)
        assert params.load(written).ingest.find == sources
    for unknown in ("everything", "[everything]"):
        change(written, "ingest.find", unknown)
        assert "ingest.find.0 is 'everything'; it should be 'auto', 'none'" in mistake(written)
    for alone in ("auto", "none"):
        line = change(written, "ingest.find", f"[motion, {alone}]")
        expected = f"line {line}: ingest.find: {alone} stands among others; it must stand alone"
        assert expected in mistake(written)


def test_a_detector_lies_where_dvc_sees_it(written):
    line = change(written, "ingest.detector", "../md_v5a.onnx")
    expected = f"line {line}: ingest.detector: '../md_v5a.onnx' is outside data/detectors"
    assert expected in mistake(written)


def test_no_jobs_are_a_mistake(written):
    change(written, "parallel.jobs", "0")
    message = mistake(written)
    assert f"line {line_of(written, 'parallel')}: parallel" in message
    assert "jobs is 0; use -1 for every core" in message


def test_cluster_without_an_address_is_a_mistake(written):
    change(written, "parallel.backend", "dask")
    assert "backend is dask; give the address of its scheduler too" in mistake(written)
    change(written, "parallel.address", "tcp://10.0.0.1:8786")
    assert params.load(written).parallel.address == "tcp://10.0.0.1:8786"


def test_unknown_key_lists_the_known_ones(written):
    change(written, "resize.size", "224\n  sizes: 3")
    message = mistake(written)
    assert f"line {line_of(written, 'resize.sizes')}: unknown parameter `resize.sizes`" in message
    assert "valid: size, fit" in message


@pytest.mark.parametrize(
    ("key", "meant"),
    [("lr", "learning_rate"), ("learning_rat", "learning_rate"), ("patiance", "patience")],
)
def test_unknown_key_names_the_one_that_was_probably_meant(written, key, meant):
    change(written, "train.patience", f"3\n  {key}: 3")
    sentence = mistake(written)
    assert f"unknown parameter `train.{key}`; valid: epochs" in sentence
    assert sentence.endswith(f". Did you mean `train.{meant}`?")


def test_unknown_key_like_no_other_suggests_none(written):
    change(written, "train.patience", "3\n  zzz: 3")
    assert "Did you mean" not in mistake(written)


def test_unknown_section_lists_the_known_ones(written):
    written.write_text(written.read_text() + "\nresizing:\n  size: 3\n")
    message = mistake(written)
    assert f"line {line_of(written, 'resizing')}: unknown parameter `resizing`" in message
    assert (
        "ingest, parallel, resize, split, augment, model, train, tune, evaluate, register"
        in message
    )


def test_unknown_key_in_register_lists_the_known_ones(written):
    change(written, "register.max_drop", "0.01\n  max_fall: 3")
    message = mistake(written)
    assert (
        f"line {line_of(written, 'register.max_fall')}: unknown parameter `register.max_fall`"
        in message
    )
    assert "valid: min_accuracy, min_macro_f1" in message


def test_missing_section(written):
    text = re.sub(r"(?ms)^resize:.*?(?=^split:)", "", written.read_text())
    written.write_text(text)
    assert "resize is missing" in mistake(written)


def test_missing_key_names_the_line_of_its_section(written):
    lines = written.read_text().splitlines()
    del lines[line_of(written, "resize.fit") - 1]
    written.write_text("\n".join(lines))
    assert f"line {line_of(written, 'resize')}: resize.fit is missing" in mistake(written)


def test_section_that_is_no_section(written):
    text = re.sub(r"(?ms)^resize:.*?(?=^split:)", "resize: 224\n", written.read_text())
    written.write_text(text)
    assert f"line {line_of(written, 'resize')}: resize is 224" in mistake(written)


def test_ratios_that_do_not_sum_to_one(written):
    change(written, "split.train", "0.8")
    message = mistake(written)
    assert f"line {line_of(written, 'split')}: split" in message
    assert "train + validation + test is 1.1; it must be 1" in message


def test_fewer_copies_than_the_least(written):
    change(written, "augment.max_copies", "0")
    assert "max_copies is 0, below copies (1)" in mistake(written)


def test_every_mistake_is_told_at_once(written):
    change(written, "resize.size", "8")
    change(written, "train.epochs", "0")
    message = mistake(written)
    assert "resize.size" in message
    assert "train.epochs" in message


def test_missing_file(tmp_path):
    message = mistake(tmp_path / "params.yaml")
    assert f"there is no {tmp_path / 'params.yaml'}" in message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- list\n", "words\n"])
def test_file_without_keys(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert "has no `key: value` lines" in mistake(path)


def test_broken_yaml_names_the_line(written):
    change(written, "resize.fit", "[crop")
    message = mistake(written)
    assert re.search(r"line \d+ is not valid YAML", message)


def test_duplicate_key_names_the_line(written):
    change(written, "resize.fit", "crop\n  size: 128")
    message = mistake(written)
    assert re.search(r"line \d+ is not valid YAML", message)
    assert "duplicate key" in message


@pytest.mark.parametrize("content", [b"resize: \xff\xfe\n", b"resize: \x00\n"])
def test_bytes_that_are_no_text(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert str(path) in mistake(path)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("train.speed", "{low: 1, high: 2}", ["tune.space", "'train.speed'", "`model` or `train`"]),
        ("speed", "{low: 1, high: 2}", ["tune.space", "'speed'", "`model` or `train`"]),
        ("split.seed", "{low: 1, high: 2}", ["tune.space", "'split.seed'", "`model` or `train`"]),
        ("train.patience.x", "{low: 1, high: 2}", ["tune.space", "'train.patience.x'"]),
        ("train.patience", "{low: 0, high: 2}", ["tune.space", "train.patience", "0", "or equal"]),
        ("train.patience", "{low: 0.5, high: 2}", ["tune.space", "train.patience", "0.5"]),
        ("train.patience", "{choices: [3, many]}", ["tune.space", "train.patience", "'many'"]),
        ("train.patience", "{low: 3, high: 2}", ["train.patience", "low (3) is above high (2)"]),
        ("train.patience", "{low: 3}", ["train.patience", "both low and high"]),
        ("train.patience", "{}", ["train.patience", "either choices"]),
        ("train.patience", "{choices: []}", ["train.patience", "choices", "at least 1"]),
        ("train.patience", "{low: a, high: b}", ["train.patience.low", "'a'", "number"]),
        ("train.patience", "{choices: [1], low: 1, high: 2}", ["train.patience", "either choices"]),
        (
            "train.patience",
            "{lows: 1, high: 2}",
            ["unknown parameter", "lows`", "choices, low, high, log"],
        ),
        (
            "train.fine_tune_rate",
            "{low: 0, high: 1, log: true}",
            ["train.fine_tune_rate", "low is 0", "above 0"],
        ),
        ("train.fine_tune_rate", "{low: .nan, high: 1}", ["train.fine_tune_rate", "nan"]),
    ],
)
def test_mistake_in_the_space_of_a_search(written, name, options, said):
    change(written, "tune.space", f"\n    {name}: {options}")
    message = mistake(written)
    for part in said:
        assert part in message


def test_a_search_on_a_logarithmic_scale_starts_above_zero(written):
    change(written, "tune.space", "\n    model.unfrozen_blocks: {low: 1, high: 2, log: true}")
    assert (
        "tune.space searches model.unfrozen_blocks on a logarithmic scale, which has no 0"
        in mistake(written)
    )


def test_space_allows_what_the_lines_allow(written):
    change(written, "tune.space", "\n    train.patience: {low: 1, high: 9}")
    assert params.load(written).tune.space["train.patience"].extremes == [1, 9]


SOURCES = [
    "/photos/my animals",
    "photos: mine # all",
    "123",
    "true",
    "null",
    "übersicht/フォト",
    "~",
]


@pytest.mark.parametrize("source", SOURCES)
def test_set_source_changes_one_line_and_keeps_all_others(written, source):
    before = written.read_text(encoding="utf-8").splitlines()
    number = line_of(written, "ingest.source")
    params.set_source(source, written)
    after = written.read_text(encoding="utf-8").splitlines()
    assert params.load(written).ingest.source == source
    assert [line for i, line in enumerate(after) if i != number - 1] == [
        line for i, line in enumerate(before) if i != number - 1
    ]


def test_set_source_without_a_file_says_so(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*params\.yaml"):
        params.set_source("photos", tmp_path / "params.yaml")


def test_replaced_gives_new_params_and_leaves_the_old(written):
    p = params.load(written)
    other = params.replaced(p, {"train.learning_rate": 0.5, "model.hidden": 7, "train.epochs": 3})
    assert (other.train.learning_rate, other.model.hidden, other.train.epochs) == (0.5, 7, 3)
    assert p == params.load(written)
    assert other.train.patience == p.train.patience


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("train.learning_rate", -1.0, r"train\.learning_rate may not be -1\.0"),
        ("train.epochs", True, r"train\.epochs may not be True"),
        ("train.epoch", 3, r"train\.epoch"),
        ("training.epochs", 3, "training"),
        ("split.train", 0.9, "split"),
    ],
)
def test_replaced_refuses_impossible_values(written, name, value, said):
    with pytest.raises(ValueError, match=said):
        params.replaced(params.load(written), {name: value})
