import io

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
