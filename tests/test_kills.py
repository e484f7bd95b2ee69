import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "kills.py"


@pytest.mark.slow
def test_stages_killed_at_random_moments_end_with_the_bytes_of_undisturbed_ones():
    """One kill a stage; the script makes ten."""
    command = [sys.executable, BENCH, "--kills", "1", "--photos", "60"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1 of 1 same") == 3
