"""Documents that no program writes, and that someone may still have put beside photos."""

import signal

import pandas as pd
import pytest
from listed import list_files

from pipeline.sources import forms, metadata

LAUGHS = "\n".join(
    ["l0: &l0 [1.jpg]", *(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 15))]
)
ALIASES = {"of itself": "&a [1.jpg, *a]", "as a value": "&a {x: *a, y: 1.jpg}", "nested": LAUGHS}


@pytest.fixture
def limited():
    """Fails a test that runs for more than ten seconds."""

    def stop(*_):
        raise AssertionError("it takes longer than ten seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("text", ALIASES.values(), ids=list(ALIASES))
def test_aliases_are_followed_once(tmp_path, limited, text):
    (tmp_path / "data.yaml").write_text(text)
    disk = pd.DataFrame({"path": ["a/1.jpg", "a/2.jpg"], "problem": [None, None]}, dtype="str")
    assert metadata.names_in(forms.load(tmp_path / "data.yaml"), disk) == 1


def test_a_collection_beside_which_aliases_name_themselves_is_read(tmp_path, limited):
    for path in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(b"x")
    (tmp_path / "data.yaml").write_text("&a [*a]")
    rows = list_files(tmp_path).set_index("path")
    assert rows["species"].dropna().to_dict() == {"cat/1.jpg": "cat", "dog/2.jpg": "dog"}
