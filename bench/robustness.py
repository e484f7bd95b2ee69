"""How networks answer worsened photos, and how far their probabilities are off on these.

Some photos of each species, and what shares a group with them, are held out. Heads are trained on
the others as `train` does, but without altered copies, and calibrated on the answers of the heads
that had not learned from a photo. The photos held out are answered as they are and worsened by each
corruption at strength 3. Means over seeds of the training.

    python bench/robustness.py ../shared/photos --cache .cache/bench
"""

from pathlib import Path

import known_data
import numpy as np
import pandas as pd
from collection_features import SIZE, Collection, parser

from pipeline.core import params
from pipeline.dataset import stratified_groups
from pipeline.evaluate import calibration_fit
from pipeline.evaluate.corruptions import CORRUPTIONS, corrupt
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export
from pipeline.train.metrics import calibration_error

COLLECTIONS, STRENGTH = ("main13", "monkeys10"), 3
NETWORKS = ("efficientnet_lite0+efficientnet_lite2", "efficientnet_lite2")


def worsened(collection: Collection, photos: np.ndarray, backbone: str) -> np.ndarray:
    """Returns the features of photos under each corruption, (corruptions, n, channels)."""
    parts = []
    for name in backbone.split("+"):
        network = backbones.get(name).build(SIZE).whole
        run = Network(litert_export.cached(network, collection.cache))
        parts.append(
            [
                run([corrupt(collection.pictures[i], kind, STRENGTH, int(i)) for i in photos])
                for kind in CORRUPTIONS
            ]
        )
    return np.concatenate(parts, axis=-1)


def measure(
    collection: Collection, p: params.Params, worse: np.ndarray, photos: np.ndarray, seed: int
) -> dict[str, float]:
    """Trains heads and counts what they answer rightly."""
    features = collection.features(p.model.backbone)
    rest = np.flatnonzero(~np.isin(collection.groups, collection.groups[photos]))
    units, species = (pd.Series(v[rest]) for v in (collection.groups, collection.species))
    fold = stratified_groups.deal(units, species, [1 / 5] * 5, 0)
    data = known_data.KnownData(features[rest], collection.species[rest], fold)
    trained = known_data.fit(p, data, seed)
    kernel, bias = known_data.head(trained)
    targets = np.searchsorted(data.labels, collection.species[photos])
    held_out = np.stack(trained.held_out["probabilities"])
    own = np.searchsorted(data.labels, trained.held_out["species"])
    calibration = calibration_fit.fit(held_out, own)

    def said(x: np.ndarray) -> np.ndarray:
        logits = x @ kernel + bias
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return calibration.apply(powers / powers.sum(axis=-1, keepdims=True))

    clean, under = said(features[photos]), said(worse)
    right = under.argmax(axis=-1) == targets
    flat = under.reshape(-1, under.shape[-1])
    return {
        "network": p.model.backbone,
        "clean": (clean.argmax(axis=1) == targets).mean(),
        "worse": right.mean(),
        "calibration error": calibration_error(clean, targets),
        "worse's": calibration_error(flat, np.tile(targets, len(CORRUPTIONS))),
        **dict(zip(CORRUPTIONS, right.mean(axis=1), strict=True)),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--per-species", type=int, default=15)
    options.add_argument("--seeds", type=int, default=3)
    arguments = options.parse_args()
    p = params.load(Path(__file__).parents[1] / "params.yaml")
    rng = np.random.default_rng(0)
    for name in COLLECTIONS:
        collection, rows = Collection.of(arguments.photos / name, arguments.cache), []
        places = pd.Series(np.arange(len(collection.files))).groupby(collection.species)
        photos = places.sample(arguments.per_species, random_state=rng).to_numpy()
        for backbone in NETWORKS:
            worse = worsened(collection, photos, backbone)
            model = p.model.model_copy(update={"backbone": backbone})
            changed = p.model_copy(update={"model": model})
            rows += [
                measure(collection, changed, worse, photos, seed) for seed in range(arguments.seeds)
            ]
        print(f"\n{name}: {len(photos)} photos, strength {STRENGTH}, {arguments.seeds} seeds")
        print(pd.DataFrame(rows).groupby("network").mean().T.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
