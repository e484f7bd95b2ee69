import numpy as np
import pytest
from networks.test_feature_cache import Pictures as Shards

from pipeline.networks import feature_cache
from pipeline.train import feature_store


def test_channels_of_several_networks_stand_side_by_side():
    rng = np.random.default_rng(0)
    first, second = rng.random((9, 3)), rng.random((9, 2))
    rows = np.array([8, 1, 4, 4])
    features = feature_store.Features((first, second), rows)
    expected = [[*first[rows[i]], *second[rows[i]]] for i in (2, 0)]
    np.testing.assert_array_equal(features.take(np.array([2, 0])), expected)
    np.testing.assert_array_equal(feature_store.Features((second,)).take(rows), second[rows])


@pytest.fixture
def engines(monkeypatch):
    """Networks by name: the mean of each picture, and its brightest value."""
    means = {
        "mean": lambda pictures: np.mean(pictures, axis=(1, 2), dtype=np.float32),
        "most": lambda pictures: np.max(pictures, axis=(1, 2, 3))[:, None].astype(np.float32),
    }
    frozen = {
        name: feature_cache.Frozen(name.encode(), lambda run=run: run)
        for name, run in means.items()
    }
    monkeypatch.setattr(feature_cache.Frozen, "of", lambda name, _: frozen[name])
    monkeypatch.setattr(feature_store.backbones, "towers", lambda name: name.towers)


def test_without_memory_for_a_tensor_a_file_is_mapped(engines, tmp_path, monkeypatch):
    def none_at_all(_):
        raise MemoryError

    monkeypatch.setattr(feature_store.tf, "constant", none_at_all)
    pictures = {"training": feature_store.Pictures(Shards(20), np.arange(20))}
    (features,) = feature_store.FeatureStore(pictures, tmp_path).get(Network("mean"))
    assert isinstance(features.arrays[0], np.memmap)
    assert not features.tensors


class Network(str):
    towers = ()


@pytest.mark.parametrize("mapped", [False, True])
def test_features_of_all_parts_are_in_order_many_in_a_file(engines, tmp_path, monkeypatch, mapped):
    monkeypatch.setattr(feature_store, "IN_MEMORY", 487 * 3 * 4 - mapped)
    shards = Shards(700)
    rng = np.random.default_rng(1)
    training, validation = np.split(rng.permutation(700), [450])
    parts = {"training": training, "validation": validation[:37]}
    pictures = {name: feature_store.Pictures(shards, part) for name, part in parts.items()}
    store = feature_store.FeatureStore(pictures, tmp_path)
    both = Network("both")
    both.towers = [Network("mean"), Network("most")]
    for network in (Network("mean"), both):
        for part, features in zip(parts.values(), store.get(network), strict=True):
            seen = shards.take(part)
            columns = [seen.mean(axis=(1, 2), dtype=np.float32)]
            if network == "both":
                columns.append(seen.max(axis=(1, 2, 3))[:, None])
            taken = features.take(np.arange(len(part)))
            np.testing.assert_array_equal(taken, np.hstack(columns))
            means, *others = (isinstance(array, np.memmap) for array in features.arrays)
            assert means == mapped and not any(others)
            assert (features.tensors == ()) == mapped
    assert store.cached == f"features: 0 of {2 * 487} were cached"
    assert not [path for path in (tmp_path / "features").iterdir() if path.suffix != ".npy"]
