"""Frames of clips: which are taken, when they were, and what is refused."""

import cv2
import numpy as np
import pandas as pd
import pytest
from pictures import CONTAINERS, film

from pipeline.inference.decoding import PhotoError
from pipeline.sources import clips

SCENE = np.random.default_rng(0).integers(100, 160, (96, 128, 3), dtype=np.uint8)


def grey(picture):
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)


def walk(length, seen):
    """Frames of a still scene, and an animal in some of them that takes a step in each."""
    frames = [SCENE.copy() for _ in range(length)]
    for step, number in enumerate(seen):
        left = 4 + 12 * (step % 8)
        frames[number][40:64, left : left + 16] = 255
    return frames


@pytest.mark.parametrize("ending", CONTAINERS)
def test_the_frames_are_kept_in_which_most_moves(tmp_path, ending):
    seen = [4, 6, 8, 30, 32, 34, 54, 56]  # of the even ones, that are looked at
    film(tmp_path / f"1.{ending}", walk(60, seen))
    pictures, seconds = clips.frames((tmp_path / f"1.{ending}").read_bytes())
    assert len(pictures) == clips.FRAMES and sorted(seconds) == seconds
    kept = [number for number, picture in enumerate(pictures) if (grey(picture) > 210).sum() > 200]
    assert np.array(seconds)[kept] == pytest.approx(np.array(seen) / 10, abs=0.11)


def test_of_a_long_clip_in_which_nothing_moves_evenly_spaced_frames_are_kept(tmp_path):
    film(tmp_path / "long.avi", walk(200, []))
    pictures, seconds = clips.frames((tmp_path / "long.avi").read_bytes())
    assert len(pictures) == clips.FRAMES and seconds[0] < 0.11
    # Of every eighth frame each or the next but one.
    assert set(np.diff(seconds).round(1)) == {0.8, 1.6}


def test_a_frame_is_a_jpeg_like_the_frame_of_the_clip(tmp_path):
    film(tmp_path / "1.avi", walk(3, [1]))
    pictures, _ = clips.frames((tmp_path / "1.avi").read_bytes())
    capture = cv2.VideoCapture(str(tmp_path / "1.avi"))
    for picture in pictures:
        assert picture[:3] == b"\xff\xd8\xff"
        frame = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY)
        assert np.abs(grey(picture) - frame).mean() < 3


def test_what_may_be_decoded_is_bounded(tmp_path, monkeypatch):
    film(tmp_path / "1.avi", [np.zeros((48, 64, 3), np.uint8)] * 30)
    data = (tmp_path / "1.avi").read_bytes()
    monkeypatch.setattr(clips, "MAX_DECODED", 5 * 48 * 64)
    assert len(clips.frames(data)[0]) == 5
    with pytest.raises(PhotoError, match="claim 64 x 48, over 3,000 pixels"):
        clips.frames(data, max_pixels=3000)


def test_a_clip_cut_off_has_the_frames_before(tmp_path):
    film(tmp_path / "1.avi", walk(12, range(12)))
    data = (tmp_path / "1.avi").read_bytes()
    pictures, _ = clips.frames(data[: len(data) * 2 // 3])
    assert 4 <= len(pictures) < 12


def test_a_clip_says_when_it_was_taken(tmp_path):
    film(tmp_path / "1.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    data = bytearray((tmp_path / "1.mp4").read_bytes())
    at = data.index(b"mvhd") + 8
    seconds = int(
        (pd.Timestamp("2024-05-01T10:00:05") - pd.Timestamp("1904-01-01")).total_seconds()
    )
    data[at : at + 4] = seconds.to_bytes(4, "big")
    assert clips.taken_at(bytes(data)) == "2024-05-01T10:00:05"
    data[at : at + 4] = bytes(4)
    assert clips.taken_at(bytes(data)) is None
    avi = b"RIFF\0\0\0\0AVI IDIT\x1a\0\0\0Wed May 01 10:00:05 2024\n\0"
    assert clips.taken_at(avi) == "2024-05-01T10:00:05"
    assert clips.taken_at(avi[:30]) is None and clips.taken_at(b"") is None
