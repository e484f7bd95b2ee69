import io
import sys
from types import SimpleNamespace

import pandas as pd
from PIL import Image

from pipeline import rehearsal


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
    answered = rehearsal.answers(ask, predictions, tmp_path)["species"]
    assert answered.to_dict() == {7: f"[{blue}]", 3: f"[{blue}, {red}]", 5: f"[{red}]"}


def test_a_version_runs_its_own_code_and_ours_stays(tmp_path, monkeypatch):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/photos.py").write_text("species = 'lion'\n")

    def load_model(folder):
        monkeypatch.syspath_prepend(folder)
        from pipeline import photos

        return SimpleNamespace(predict=lambda frame: [photos.species] * len(frame))

    ours = sys.modules["pipeline.photos"]
    pyfunc = SimpleNamespace(load_model=load_model)
    monkeypatch.setattr(rehearsal.registry, "folder", lambda version: tmp_path)
    monkeypatch.setattr(rehearsal.tracking, "mlflow", lambda: SimpleNamespace(pyfunc=pyfunc))
    assert rehearsal.version("3")([b"", b""]) == ["lion", "lion"]
    from pipeline import photos

    assert photos is ours is sys.modules["pipeline.photos"]
