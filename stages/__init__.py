"""The stages' scripts. dvc.yaml runs each as `python -m stages.NAME`, so that this comes first."""

import sys
from importlib.util import find_spec

if find_spec("pipeline") is None:
    sys.exit(
        f"error: the project is not installed for {sys.executable}, the `python` that DVC found; "
        "run `. .venv/bin/activate` (`make setup` creates it), then `dvc repro` again"
    )
