"""Files beside one photo, as programs write them and as nobody does."""

import pytest

from pipeline.sources import sidecars


@pytest.mark.parametrize("depth", [1, 300, 450, 900, 100_000])
def test_nested_lists_do_not_stop_a_run(tmp_path, depth):
    (tmp_path / "1.jpg.json").write_text("[" * depth + "]" * depth)
    try:
        label = sidecars.label(tmp_path, "1.jpg.json")
    except RecursionError:
        label = "none: it was nested too deep"
    assert label is None


def test_a_label_at_any_depth_is_seen(tmp_path):
    (tmp_path / "1.jpg.json").write_text('{"data": [[{"species": {"name": "owl"}}]]}')
    assert sidecars.label(tmp_path, "1.jpg.json") == "species"
