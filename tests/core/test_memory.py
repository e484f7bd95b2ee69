import subprocess
import sys

import pytest

FREED = """
import numpy as np
import pandas as pd
import pyarrow as pa
from pipeline.core import memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

{first}
before = resident()
np.ones(2**21).sum()  # one large piece came and went
pieces = [(np.ones(2**17), bytes(1000)) for _ in range(50)]
columns = [pa.array(["photo"] * 2**16) for _ in range(50)]
kept = [small for _, small in pieces], columns[-1]
del pieces, columns
print(resident() - before)
"""


def held(first):
    script = [sys.executable, "-c", FREED.format(first=first)]
    return int(subprocess.run(script, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc to read")
def test_what_is_freed_goes_back_to_the_system():
    assert held("memory.give_back()") < held("") / 4
