"""What the augment stage makes of pictures and a split."""

import numpy as np
import pandas as pd
import pytest
import shard_files
import staged

from pipeline.dataset.shards import Shards

SPECIES = ["cat"] * 15 + ["owl"] * 9 + ["fish"] * 6
# By turns, so that every species has photos in every split, and unequal numbers of them.
SPLITS = (["train", "train", "validation"] + ["train", "test", "train", "validation"] * 7)[:30]


@pytest.fixture
def folder(tmp_path):
    """A project whose pictures are resized and split; the split stands in another order."""
    pictures = np.random.default_rng(0).integers(0, 256, (30, 24, 24, 3), dtype=np.uint8)
    table = pd.DataFrame({"photo": [f"p{i:02d}" for i in range(30)], "species": SPECIES})
    shard_files.write(tmp_path / "data/resized", table, pictures)
    split = table.assign(split=SPLITS).sample(frac=1, random_state=0)
    split.to_parquet(tmp_path / "data/split.parquet")
    return tmp_path


def augmented(folder, **lines):
    lines = {f"augment.{name}": value for name, value in lines.items()}
    staged.run("augment", folder, {"augment.copies": 1, "augment.max_copies": 3} | lines)
    return Shards(folder / "data/augmented")


def test_the_photos_are_the_training_split_each_with_its_copies(folder):
    written = augmented(folder).index
    training = [f"p{i:02d}" for i in range(30) if SPLITS[i] == "train"]
    assert set(written["photo"]) == set(training), "others than training photos are learned from"
    originals = written[written["copy"] == 0]
    assert originals["photo"].tolist() == training
    # 8 cats, 5 owls and 3 fishes train: with a copy each, the cats are 16; three are the most.
    assert written.groupby("species").size().to_dict() == {"cat": 16, "owl": 15, "fish": 12}


def test_the_first_is_the_picture_itself_and_the_rest_are_not(folder):
    written, resized = augmented(folder), Shards(folder / "data/resized")
    place = {photo: i for i, photo in enumerate(resized.index["photo"])}
    for position, row in enumerate(written.index.itertuples()):
        copy, picture = written.take([position])[0], resized.take([place[row.photo]])[0]
        assert np.array_equal(copy, picture) == (row.copy == 0), row


def test_no_copies_leave_the_training_pictures_alone(folder):
    index = augmented(folder, copies=0, max_copies=0).index
    assert index["copy"].eq(0).all()
    assert len(index) == SPLITS.count("train")


def test_the_most_copies_are_those_of_params(folder):
    assert augmented(folder, max_copies=1).index["copy"].max() == 1
    index = augmented(folder, copies=2, max_copies=4).index
    most = index.groupby("species")["copy"].max()
    assert most.to_dict() == {"cat": 2, "owl": 4, "fish": 4}


def test_the_seed_and_the_ranges_of_params_decide(folder):
    first = augmented(folder, seed=1)
    pictures, copy = first.take(range(len(first))), first.index["copy"].to_numpy() > 0
    other = augmented(folder, seed=2).take(range(len(first)))
    assert ((pictures != other).any(axis=(1, 2, 3)) == copy).all()
    chances = ["flip_horizontal", "grey", "blur", "jpeg", "cutout", "night", "resolution", "noise"]
    still = dict.fromkeys(chances, 0.0)
    same = augmented(folder, seed=1, strength=0.0, **still).take(range(len(first)))
    expected = Shards(folder / "data/resized").take([int(p[1:]) for p in first.index["photo"]])
    assert np.array_equal(same, expected), "with no range a copy is not its picture"
