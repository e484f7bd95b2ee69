"""Writes netcal's expected calibration errors of made answers, for a test to compare with.

netcal imports torch, pyro and gpytorch, gigabytes of which this error uses nothing: empty modules
stand in for them. So it runs in an environment of its own, and its results are stored.

    uv venv /tmp/reference
    uv pip install --python /tmp/reference --no-deps netcal==1.4.0
    uv pip install --python /tmp/reference numpy scipy scikit-learn matplotlib tqdm
    /tmp/reference/bin/python bench/calibration_reference.py tests/train/calibration_errors.json
"""

import json
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np

CASES = [(seed, species, bins) for seed in range(3) for species in (3, 13) for bins in (10, 15)]


class Empty(ModuleType):
    """A module that has an empty class of every name."""

    __path__ = ()

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda *_, **__: None, "__call__": lambda _, f: f})


class StandIn(MetaPathFinder, Loader):
    """Finds an empty module in place of what is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        absent = name.split(".")[0] in ("torch", "pyro", "gpytorch")
        return ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def answers(seed: int, species: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws probabilities (400, species), too sure of themselves, and the right species (400,)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (400, species))
    powers = np.exp(logits)
    right = [rng.choice(species, p=row / row.sum()) for row in powers]
    powers = np.exp(logits * (1 + seed))
    return powers / powers.sum(axis=1, keepdims=True), np.array(right)


def main() -> None:
    sys.meta_path.append(StandIn())
    from netcal.metrics import ECE

    errors = [
        {
            "seed": seed,
            "species": species,
            "bins": bins,
            "error": float(ECE(bins).measure(*answers(seed, species))),
        }
        for seed, species, bins in CASES
    ]
    Path(sys.argv[1]).write_text(json.dumps(errors, indent=1) + "\n")


if __name__ == "__main__":
    main()
