import io
import sys
from types import SimpleNamespace

import pandas as pd
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
