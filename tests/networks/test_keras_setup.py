import subprocess
import sys

CODE = """
import sys
from pipeline.networks import keras_setup
keras_setup.keras()
print([name in sys.modules for name in ("keras", "sklearn", "matplotlib")])
"""


def test_keras_comes_without_packages_that_nothing_here_uses_through_it():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[True, False, False]", "loaded for nothing, or hidden for good"
