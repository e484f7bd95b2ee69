"""Keras' guide to transfer learning and fine-tuning (https://keras.io/guides/transfer_learning).

A frozen network in inference mode, dropout of 0.2 and a dense layer are trained with Adam's own
learning rate, then everything with 1e-5; photos are flipped and rotated at random. The guide's 20
epochs and then 10 become as many as fit, in that proportion; where no epoch of everything fits,
the head alone is trained. The guide only shows validation, so the time for it is saved.
"""

import os
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from contest import Contest

from pipeline.networks import backbones

SIZE = 224
BATCHES_TO_TIME = 6
HEAD_EPOCHS, WHOLE_EPOCHS = 20, 10  # of the guide


def training_photos(contest: Contest) -> tf.data.Dataset:
    pictures = keras.utils.image_dataset_from_directory(
        contest.photos / "train",
        image_size=(SIZE, SIZE),
        crop_to_aspect_ratio=True,
        batch_size=None,
        seed=0,
        verbose=False,
    )
    layers = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
    alter = partial(keras.Sequential(layers), training=True)
    batches = pictures.cache().shuffle(1024, seed=0).batch(64)
    altered = batches.map(lambda x, y: (alter(x), y), tf.data.AUTOTUNE)
    return altered.prefetch(tf.data.AUTOTUNE)


class Recogniser:
    """The guide's network, frozen at first."""

    def __init__(self, species: int, jit_compile: bool | str):
        keras.utils.set_random_seed(0)
        self._base = backbones.get("efficientnet_lite0").build(SIZE).whole
        pixels = keras.Input((SIZE, SIZE, 3))
        features = keras.layers.Dropout(0.2)(self._base(pixels, training=False))
        self.model = keras.Model(pixels, keras.layers.Dense(species)(features))
        self._jit_compile = jit_compile
        self._compile(keras.optimizers.Adam())

    def unfreeze(self) -> None:
        self._base.trainable = True
        self._compile(keras.optimizers.Adam(1e-5))

    def _compile(self, optimizer: keras.optimizers.Optimizer) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=self._jit_compile)

    def train(self, pictures: tf.data.Dataset, epochs: int) -> list[float]:
        """Gives the seconds of each batch; the first one's have the compilation in them."""
        times = [time.monotonic()]

        def note(batch: int, logs: object) -> None:
            times.append(time.monotonic())

        callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
        self.model.fit(pictures, epochs=epochs, verbose=2, callbacks=[callback])
        return [end - start for start, end in pairwise(times)]

    def seconds(self, pictures: tf.data.Dataset) -> tuple[float, float]:
        """Seconds until the first batch is through, and for an epoch, judged by a few batches."""
        first, *others = self.train(pictures.take(BATCHES_TO_TIME), 1)
        return first, median(others) * len(pictures)


def main(jit_compile: bool | str = "auto") -> None:
    contest = Contest.from_arguments()
    with contest.uncounted():
        pictures, timed = training_photos(contest), Recogniser(len(contest.species), jit_compile)
        start_head, head = timed.seconds(pictures)
        timed.unfreeze()
        start_whole, whole = timed.seconds(pictures)
    pictures, recogniser = training_photos(contest), Recogniser(len(contest.species), jit_compile)
    ratio = HEAD_EPOCHS // WHOLE_EPOCHS
    time_left = contest.left() - start_head
    both = min(WHOLE_EPOCHS, int((time_left - start_whole) / (ratio * head + whole)))
    alone = ratio * both if both >= 1 else min(HEAD_EPOCHS, int(time_left / head))
    if alone < 1:
        contest.hand_in(None, f"the head: {start_head:.0f} s, and {head:.0f} an epoch")
        return
    recogniser.train(pictures, alone)
    done = f"{alone} epochs of the head"
    if both >= 1:
        recogniser.unfreeze()
        recogniser.train(pictures, both)
        done += f", {both} of everything"

    def recognise(paths: list[Path]) -> list[str]:
        pictures = (keras.utils.img_to_array(keras.utils.load_img(path)) for path in paths)
        squares = (keras.preprocessing.image.smart_resize(p, (SIZE, SIZE)) for p in pictures)
        answers = [recogniser.model(square[None]) for square in squares]
        return [contest.species[int(keras.ops.argmax(answer))] for answer in answers]

    contest.hand_in(recognise, done)


if __name__ == "__main__":
    main()
