import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import mutations

AREAS = sorted(file.stem for file in mutations.LISTS.glob("*.yaml"))


@pytest.mark.parametrize("area", AREAS)
def test_every_listed_bug_can_be_put_into_the_code_as_it_is(area):
    for mutation in mutations.load(area):
        source = (mutations.REPOSITORY / mutation.file).read_text()
        changed = mutations.changed(source, mutation.was, mutation.becomes)
        assert changed != source, mutation
        if mutation.file.endswith(".py"):
            compile(changed, mutation.file, "exec")
        for test in mutation.tests:
            assert (mutations.REPOSITORY / test.split("::")[0]).exists(), mutation
