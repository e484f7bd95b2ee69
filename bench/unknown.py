"""How well unknown animals, and pictures without one, are told from photos of known species.

Four species of a collection are left out, and heads are trained on the others as `train` does, but
without altered copies. A fifth of the known photos, whole groups, is tested with the left-out ones.
Detector and calibration are fitted to the others as evaluate does. Two scores are compared on the
same photos, each at the threshold that keeps 95 % of the known ones that are tested: the largest
probability, calibrated, and novelty. Beside it stands what the fitted threshold does: the share of
known photos that it keeps and of unknown ones that pass, and the share of these with a probability
over 0.9, of all and of those that pass. A line a draw, and their mean.

Then ImageNet's classifier: how many pictures without an animal it tells, and how many photos of
animals it takes for one, by species in the camera traps.

    python bench/unknown.py ../shared/photos --cache .cache/bench
"""

import json
from pathlib import Path

import known_data
import numpy as np
import pandas as pd
from collection_features import Collection, parser

from pipeline.core import params
from pipeline.dataset import stratified_groups
from pipeline.evaluate import calibration_fit, novelty_fit, open_set_fit
from pipeline.inference.open_set import ImageNet
from pipeline.networks import backbones, served_outputs

COLLECTIONS, DRAWS, LEFT_OUT, TESTED, SURE = ("main13", "monkeys10"), 6, 4, 0.2, 0.9


def passing(known: np.ndarray, unknown: np.ndarray) -> float:
    """Returns the share of unknown photos whose score is among the lowest 95 % of the known."""
    limit = np.sort(known)[int(np.ceil(len(known) * novelty_fit.KNOWN)) - 1]
    return float((unknown <= limit).mean())


def draw(collection: Collection, p: params.Params, seed: int) -> dict[str, float]:
    """Leaves four species out and measures what becomes of their photos."""
    names = np.unique(collection.species)
    left_out = np.random.default_rng(seed).choice(names, LEFT_OUT, replace=False)
    known = np.flatnonzero(~np.isin(collection.species, left_out))
    units, species = (pd.Series(v[known]) for v in (collection.groups, collection.species))
    part = stratified_groups.deal(units, species, (1 - TESTED, TESTED), seed)
    rows, tested = known[part == 0], known[part == 1]
    fold = stratified_groups.deal(units[part == 0], species[part == 0], [1 / 5] * 5, seed)
    features = collection.features(p.model.backbone)
    data = known_data.KnownData(features[rows], collection.species[rows], fold)
    trained = known_data.fit(p, data, seed)
    held_out, (kernel, bias) = trained.held_out, known_data.head(trained)
    calibration = calibration_fit.fit(
        np.stack(held_out["probabilities"]), np.searchsorted(data.labels, held_out["species"])
    )
    detector, _ = novelty_fit.fit(
        features[rows], held_out["largest_logit"].to_numpy(), collection.species[rows], fold
    )
    unknown = np.flatnonzero(np.isin(collection.species, left_out))
    probability, novelty = {}, {}
    for name, photos in (("known", tested), ("unknown", unknown)):
        logits = features[photos] @ kernel + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        calibrated = calibration.apply(powers / powers.sum(axis=1, keepdims=True))
        probability[name] = calibrated.max(axis=1)
        novelty[name] = detector.score(features[photos], logits)
    sure = probability["unknown"] > SURE
    within = {name: scores <= detector.threshold for name, scores in novelty.items()}
    return {
        "left out": ", ".join(left_out),
        "passing by probability": passing(-probability["known"], -probability["unknown"]),
        "passing by novelty": passing(novelty["known"], novelty["unknown"]),
        "known kept": within["known"].mean(),
        "unknown passing": within["unknown"].mean(),
        "sure and wrong by probability": sure.mean(),
        "sure and wrong": (sure & within["unknown"]).mean(),
    }


def animal(collection: Collection, backbone: str) -> np.ndarray:
    """Returns the probability of an animal in each photo, by ImageNet's classifier."""
    model = {"backbone": backbone, "weights": "imagenet", "unfrozen_blocks": 0}
    classifier = served_outputs.classifier(model)
    logits = classifier.logits(collection.features(backbone))
    return ImageNet(classifier.of, served_outputs.animals(), 0.0).animal(logits)


def blanks(collection: Collection) -> np.ndarray:
    """Returns which photos show nothing, by the annotations of a collection of camera traps."""
    table = json.loads((collection.folder / "metadata.json").read_text())
    empty = {row["id"] for row in table["categories"] if row["name"] == "empty"}
    of = {row["image_id"] for row in table["annotations"] if row["category_id"] in empty}
    names = {row["file_name"] for row in table["images"] if row["id"] in of}
    return np.array([path.as_posix() in names for path in collection.files])


def main() -> None:
    arguments = parser(__doc__).parse_args()
    p = params.load(Path(__file__).parents[1] / "params.yaml")
    p = params.replaced(p, {"model.backbone": backbones.chosen(p.model.backbone)})
    for name in COLLECTIONS:
        collection = Collection.of(arguments.photos / name, arguments.cache)
        table = pd.DataFrame([draw(collection, p, seed) for seed in range(DRAWS)])
        print(f"\n{name}, {p.model.backbone}: {DRAWS} draws of {LEFT_OUT} species left out")
        print(table.round(3).to_string(index=False))
        print(f"mean {table.mean(numeric_only=True).round(3).to_dict()}", flush=True)
    print(f"\nno animal, by a probability of an animal below {open_set_fit.ANIMAL_FROM}")
    for name in (*COLLECTIONS, "no_animal", "camtrap20"):
        collection = Collection.of(arguments.photos / name, arguments.cache)
        told = animal(collection, p.model.backbone) < open_set_fit.ANIMAL_FROM
        print(f"{name}: {told.mean():.3f} of {len(told)}")
        if name == "camtrap20":
            blank = blanks(collection)
            print(f"  blanks {told[blank].mean():.3f}, animals {told[~blank].mean():.3f}")


if __name__ == "__main__":
    main()
