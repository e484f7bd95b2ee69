"""Keras on JAX trains the same recognisers. The backend is decided when Keras is imported, so here
in a process of its own."""

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.networks import keras_setup
from pipeline.train import trainer
from train.test_trainer import SPECIES, load, model, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("jax") is None, reason="no jax: pip install -e '.[jax]'"
    ),
]

WAYS = {
    "head": (model(), train()),
    "pixels": (model(backbone="scratch_cnn"), train(averaging=0.9)),
}


def run_out_of_memory(keras, most: int, calls: int) -> None:
    """From some calls of a step on, more pictures make it fail as on a GPU: after JAX took the
    weights' memory for the new ones."""
    import jax

    make = keras.Model.make_train_function

    def made(network, force=False):
        make(network, force)
        step, done = network.train_function, itertools.count()

        def train_function(state, batches):
            batches = list(itertools.islice(batches, network.steps_per_execution))
            if next(done) < calls or all(len(pictures) <= most for pictures, *_ in batches):
                return step(state, iter(batches))
            for array in jax.tree.leaves(state):
                array.delete()
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")

        network.train_function = train_function

    keras.Model.make_train_function = made


def train_and_save(folder: Path) -> None:
    data = load(folder, folder / "cache", [*SPECIES] * 20, [*SPECIES] * 6)
    pictures = data.validation.take(np.arange(18))
    for name, how in WAYS.items():
        trained = trainer.fit(*how, data)
        assert trained.history["loss"].iloc[-1] < trained.history["loss"].iloc[0]
        trained.save(folder / name, "run")
        np.save(folder / f"{name}.npy", trained.model.predict(pictures, verbose=0))
    np.save(folder / "pictures.npy", pictures)
    run_out_of_memory(
        keras_setup.keras(), most=8, calls=5
    )  # in the second epoch, of a head the sixth
    for name, how in WAYS.items():
        trained = trainer.fit(*how, data)
        first = trained.history.groupby("batch_size")["loss"].first()
        assert list(first.index) == [8, 16], name
        assert first[8] < first[16], name


def test_what_jax_trained_says_the_same_on_tensorflow(tmp_path):
    path = [str(Path(__file__).parents[1]), *sys.path]
    code = (
        f"import sys; sys.path[:] = {path!r}; from pathlib import Path; "
        "from train import test_jax; "
        f"test_jax.train_and_save(Path({str(tmp_path)!r}))"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    keras, pictures = keras_setup.keras(), np.load(tmp_path / "pictures.npy")
    for name in WAYS:
        loaded = keras.saving.load_model(tmp_path / name / "model.keras")
        answers = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(loaded.predict(pictures, verbose=0), answers, atol=1e-4)
