import io
import sys
import time
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from pipeline.register import replay


def test_a_version_is_asked_about_what_was_cut_out_of_a_photo(tmp_path):
    both = Image.new("RGB", (80, 40), "red")
    both.paste("blue", (40, 0, 80, 40))
    both.save(tmp_path / "both.png")
    boxes = ["[0.5, 0.0, 0.5, 1.0]", "", "[0.0, 0.0, 0.5, 1.0]"]
    predictions = pd.DataFrame({"path": "both.png", "box": boxes}, index=[7, 3, 5])

    def ask(images, boxes):
        assert boxes == []
        seen = [Image.open(io.BytesIO(data)).convert("RGB") for data in images]
        answers = [str(sorted(colour for _, colour in image.getcolors())) for image in seen]
        return pd.DataFrame({"species": answers, "probability": 1.0})

    red, blue = (255, 0, 0), (0, 0, 255)
    answered = replay.answers(ask, predictions, tmp_path)["species"]
    assert answered.to_dict() == {7: f"[{blue}]", 3: f"[{blue}, {red}]", 5: f"[{red}]"}


def test_a_version_that_sees_views_is_told_where_the_animal_is(tmp_path):
    for number in range(20):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    subjects = [f"[0.{n:02}, 0.25, 0.5, 0.125]" if n % 3 else "" for n in range(20)]
    paths = [f"{number}.png" for number in range(20)]
    predictions = pd.DataFrame({"path": paths, "box": "", "subject": subjects})

    def ask(images, boxes):
        reds = [Image.open(io.BytesIO(data)).getpixel((0, 0))[0] for data in images]
        told = [boxes[start : start + 4] for start in range(0, len(boxes), 4)]
        rows = zip(reds, told, strict=True)
        return pd.DataFrame({"species": [f"{red} {box}" for red, box in rows], "probability": 1.0})

    answered = replay.answers(ask, predictions, tmp_path)["species"].tolist()
    boxes = [[n / 100, 0.25, 0.5, 0.125] if n % 3 else [0, 0, 1, 1] for n in range(20)]
    assert answered == [f"{n} {box}" for n, box in enumerate(boxes)]


def test_a_version_runs_its_own_code_and_ours_stays(tmp_path, monkeypatch):
    (tmp_path / "pipeline/inference").mkdir(parents=True)
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/inference/__init__.py").touch()
    (tmp_path / "pipeline/inference/decoding.py").write_text("species = 'lion'\n")

    def load_model(folder):
        monkeypatch.syspath_prepend(folder)
        from pipeline.inference import decoding

        return SimpleNamespace(
            predict=lambda frame, params=None: [decoding.species, params] * len(frame)
        )

    ours = sys.modules["pipeline.inference.decoding"]
    pyfunc = SimpleNamespace(load_model=load_model)
    monkeypatch.setattr(replay.versions, "folder", lambda version: tmp_path)
    monkeypatch.setattr(replay.tracking, "mlflow", lambda: SimpleNamespace(pyfunc=pyfunc))
    assert replay.version("3")([b"", b""], []) == ["lion", None] * 2
    assert replay.version("3")([b""], [0, 0, 0.5, 1]) == ["lion", {"boxes": [0, 0, 0.5, 1]}]
    from pipeline.inference import decoding

    assert decoding is ours is sys.modules["pipeline.inference.decoding"]


@pytest.mark.parametrize(
    ("milliseconds", "clock"), [((0, 5), time.perf_counter), ((18, 60), time.process_time)]
)
def test_latency_counts_work_and_no_wait_for_a_core(monkeypatch, milliseconds, clock):
    """A picture that waits 20 ms costs next to nothing, one that computes for 20 ms costs them."""

    class Slow:
        size = 8

        def __init__(self, model, workers):
            assert (model, workers) == (b"network", 1)

        def one(self, picture):
            end = clock() + 0.02
            while clock() < end:
                if clock is time.perf_counter:
                    time.sleep(0.02)

    monkeypatch.setattr(replay, "Network", Slow)
    monkeypatch.setattr(replay, "_REPEATS", 5)
    least, most = milliseconds
    assert least <= replay.latency(b"network") <= most
