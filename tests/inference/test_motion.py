"""What moves in made bursts: a textured scene, an animal that walks, wind, flash and a clock."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.inference import decoding, motion

HEIGHT, WIDTH = 240, 352


def burst(count=6, animal=True, seed=0):
    """Frames of a noisy scene through which a bright block of 60 x 40 px walks to the right."""
    rng = np.random.default_rng(seed)
    scene = rng.integers(60, 120, (HEIGHT, WIDTH))
    frames, places = [], []
    for number in range(count):
        frame = scene + rng.normal(0, 2, scene.shape)
        left, top = 20 + 50 * number, 100 + 4 * number
        if animal:
            frame[top : top + 40, left : left + 60] = 180 + rng.normal(0, 2, (40, 60))
        frames.append(frame.clip(0, 255).astype(np.uint8))
        places.append((left / WIDTH, top / HEIGHT, 60 / WIDTH, 40 / HEIGHT))
    return frames, places


def overlap(box, place):
    """Intersection over union, counted on a grid of pixels."""
    masks = []
    for x, y, width, height in (box[:4], place):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        rows = slice(round(y * HEIGHT), round((y + height) * HEIGHT))
        mask[rows, round(x * WIDTH) : round((x + width) * WIDTH)] = True
        masks.append(mask)
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


def test_the_animal_is_found_in_every_frame_whatever_their_order():
    frames, places = burst()
    order = [3, 0, 5, 1, 4, 2]
    found = motion.find([frames[i] for i in order])
    for i, boxes in zip(order, found, strict=True):
        assert overlap(boxes[0], places[i]) > 0.6
        assert len(boxes) == 1, "where it was in another frame it is not now"


def test_nothing_is_found_in_an_empty_scene_and_by_a_flash():
    frames, _ = burst(animal=False)
    frames[2] = (frames[2] * 1.5).clip(0, 255).astype(np.uint8)
    assert motion.find(frames) == [[]] * 6


@pytest.mark.parametrize(("wind", "leaves_are_found"), [(0.06, False), (0.15, True)])
def test_leaves_in_the_wind_are_not_taken_for_the_animal(wind, leaves_are_found):
    frames, places = burst()
    rng = np.random.default_rng(1)
    for frame in frames:
        leaves = frame[20:80, 200:330]
        leaves[:] = (leaves * rng.uniform(1 - wind, 1 + wind)).astype(np.uint8)
    found = motion.find(frames)
    for boxes, place in zip(found, places, strict=True):
        assert overlap(boxes[0], place) > 0.6
    assert any(len(boxes) > 1 for boxes in found) == leaves_are_found


def test_the_burnt_in_clock_does_not_move():
    frames, _ = burst(animal=False)
    for number, frame in enumerate(frames):
        for strip in (frame[:16], frame[-16:]):
            strip[:] = 0
            strip[4:12, 40 + 16 * number : 80 + 16 * number] = 255
    assert motion.find(frames) == [[]] * 6
    for frame in frames:  # the same in the middle of the picture would be an animal
        frame[100:116] = frame[:16]
    assert all(motion.find(frames))


def test_the_larger_of_two_comes_first():
    frames, places = burst()
    for number, frame in enumerate(frames):
        frame[200:220, 320 - 40 * number : 340 - 40 * number] = 200
    for boxes, place in zip(motion.find(frames), places, strict=True):
        assert len(boxes) == 2
        assert boxes[0].score > boxes[1].score
        assert overlap(boxes[0], place) > 0.6


def test_frames_of_other_sizes_and_single_ones_have_no_scene():
    frames, _ = burst(count=5)
    small = [frame[:120, :176] for frame in frames[:2]]
    found = motion.find([*small, *frames])
    assert found[:2] == [[], []]
    assert all(found[2:])
    assert motion.find(frames[:2]) == [[], []]
    assert motion.find([]) == []


@pytest.mark.parametrize("orientation", [1, 6])
def test_grey_frames_are_small_and_upright(orientation):
    ramp = np.tile(np.linspace(0, 255, 800, dtype=np.uint8), (600, 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(file, "JPEG", exif=exif)
    frame = decoding.grey(file.getvalue(), 352)
    assert frame.shape == {1: (264, 352), 6: (352, 264)}[orientation]
    steps = np.diff(frame.astype(int).mean(axis=0 if orientation == 1 else 1))
    assert steps.sum() == pytest.approx(255, abs=3), "it brightens to the right, or downwards"
    assert steps.min() > -1
