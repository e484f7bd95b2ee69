import sys

import pytest

from pipeline.core.imports import hidden


def test_a_package_is_missing_while_it_is_hidden_and_no_longer(monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    monkeypatch.setattr("builtins.print", lambda *_: None)  # `this` prints a poem
    with pytest.raises(ImportError), hidden("this"):
        import this
    still_hidden = "this" in sys.modules
    assert not still_hidden, "hidden for good"
    import this

    with hidden("this"):
        import this as again
    assert again is this is sys.modules["this"], "what is there already stays"
