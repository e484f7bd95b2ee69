import gc
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dask_cluster import Cluster
from web import Web

from pipeline.sources.recipes.synthetic.collection import Drawn, draw

PHOTOS = Path(__file__).parents[1].parent / "shared" / "photos"
DRAWN = Drawn(
    species=["cat", "fish", "owl", "zebra"],
    per_species=6,
    size=96,
    seed=5,
    exact_duplicates=0,
    near_duplicates=0,
    broken=0,
)

CHROMIUM = (  # a machine without a screen, and no request to Google's hosts
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook too
def pytest_collection_modifyitems(items):
    """With several processes: what shares the one project in one, else a file in one.

    Groups that take longest come first, or one process would work alone at the end: the project,
    then those with most slow tests, then those with most tests.
    """
    groups = {}
    for item in items:
        # Elsewhere a fixture of this name is a folder of the file's own.
        shared = "project" in item.fixturenames and item.path.parent.name == "e2e"
        group = "project" if shared else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        groups.setdefault(group, []).append(item)

    def length(group):
        slow = sum(item.get_closest_marker("slow") is not None for item in groups[group])
        return group == "project", slow, len(groups[group])

    items[:] = [
        item for group in sorted(groups, key=length, reverse=True) for item in groups[group]
    ]


@pytest.fixture(scope="session", autouse=True)
def path_at_first():
    return sys.path[:]


@pytest.fixture(scope="module", autouse=True)
def no_traces_of_mlflow(path_at_first):
    """A model that MLflow loads leaves its own code first in the path, where processes that are
    started later would find it; MLflow's server leaves a mark that this process serves."""
    gc.freeze()  # Keras collects garbage in each training: without what TensorFlow's modules hold
    yield
    sys.path[:] = path_at_first
    os.environ.pop("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", None)


@pytest.fixture(scope="session")
def photos_folder():
    """Gives a folder (or file) of the real photos by name, and skips where they are absent."""

    def folder(name):
        path = PHOTOS / name
        if not path.exists():
            pytest.skip(f"no {path}: real photos are no part of the repository")
        return path

    return folder


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory):
    """Four class folders of six different pictures each, 96 px. Shared by all tests: read only."""
    folder = tmp_path_factory.mktemp("drawn-photos")
    draw(DRAWN, folder)
    return folder


@pytest.fixture
def collection(drawn_photos, tmp_path):
    """A copy of `drawn_photos` for one test, to be changed at will."""
    return Path(shutil.copytree(drawn_photos, tmp_path / "collection"))


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory):
    """A folder such as `models/final`: tells red pictures from blue ones, or rather `blue & co`."""
    from pipeline.networks import keras_setup, litert_export, served_outputs

    keras_setup.seed(0)
    keras = keras_setup.keras()
    layers = keras.layers
    pixels = keras.Input((32, 32, 3), name="pixels")
    means = layers.GlobalAveragePooling2D()(pixels)
    head = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="head")
    model = keras.Model(pixels, layers.Softmax()(head(means)))
    red_minus_blue = [[-0.01, 0.01], [0, 0], [0.01, -0.01]]
    head.set_weights([np.array(red_minus_blue, np.float32), np.zeros(2)])
    folder = tmp_path_factory.mktemp("models")
    model.save(folder / "model.keras")
    final, litert = folder / "final", litert_export.to_litert(served_outputs.answering(model))
    calibration = {"temperature": 0.5, "unknown_below": 0.7, "set_from": 0.1}
    about = litert_export.Description(("blue & co", "red"), "crop", 10**8, calibration)
    litert_export.write(final, folder / "model.keras", litert, about)
    return final


@pytest.fixture(scope="module")  # longer, and asyncio would not run in other modules
def browser():
    """Chromium, as Debian has it; tests are skipped where it is absent."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def web():
    """A real server on this machine, for the time of a test."""
    with Web() as server:
        yield server


@pytest.fixture(scope="session")
def model_folder(recogniser, tmp_path_factory):
    """`recogniser` as a version in the registry holds it: read only."""
    from pipeline.core import tracking
    from pipeline.register import packaging

    path = tmp_path_factory.mktemp("served") / "model"
    described = tracking.mlflow().models.Model(model_id="m-0")
    learned_from, about = pd.Series(["a" * 64]), tmp_path_factory.mktemp("about")
    packaging.Flavors.save_model(str(path), described, recogniser, learned_from, about)
    return path


@pytest.fixture(scope="session")
def served_model(model_folder):
    """The same, loaded by MLflow."""
    from pipeline.core import tracking

    return tracking.mlflow().pyfunc.load_model(str(model_folder))


@pytest.fixture
def cluster(tmp_path_factory):
    """A scheduler without workers yet, for the time of a test."""
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()
