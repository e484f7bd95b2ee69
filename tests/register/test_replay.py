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

    def ask(images):
        seen = [Image.open(io.BytesIO(data)).convert("RGB") for data in images]
        answers = [str(sorted(colour for _, colour in image.getcolors())) for image in seen]
        return pd.DataFrame({"species": answers, "probability": 1.0})

    red, blue = (255, 0, 0), (0, 0, 255)
    answered = replay.answers(ask, predictions, tmp_path)["species"]
    assert answered.to_dict() == {7: f"[{blue}]", 3: f"[{blue}, {red}]", 5: f"[{red}]"}


def test_a_version_runs_its_own_code_and_ours_stays(tmp_path, monkeypatch):
    (tmp_path / "pipeline/inference").mkdir(parents=True)
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/inference/__init__.py").touch()
    (tmp_path / "pipeline/inference/decoding.py").write_text("species = 'lion'\n")

    def load_model(folder):
        monkeypatch.syspath_prepend(folder)
        from pipeline.inference import decoding

        return SimpleNamespace(predict=lambda frame: [decoding.species] * len(frame))

    ours = sys.modules["pipeline.inference.decoding"]
    pyfunc = SimpleNamespace(load_model=load_model)
    monkeypatch.setattr(replay.versions, "folder", lambda version: tmp_path)
    monkeypatch.setattr(replay.tracking, "mlflow", lambda: SimpleNamespace(pyfunc=pyfunc))
    assert replay.version("3")([b"", b""]) == ["lion", "lion"]
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
