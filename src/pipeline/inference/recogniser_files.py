"""The files of a recogniser that decide its answers."""

from pathlib import Path

from pipeline.inference import crops, novelty, pooling, taxonomy

NEEDED = ("model.tflite", "labels.json")
_BESIDE = (novelty.FILE, crops.FILE, pooling.FILE, taxonomy.FILE)  # the network, where it needs it


def of(recogniser: Path) -> list[Path]:
    """Lists the files of a recogniser's folder that decide its answers, always in one order.

    Other files may lie in that folder: a Keras network, or what somebody put there.
    """
    crop = crops.SubjectCrop.load(recogniser)
    carried = [crop.detector] if crop and crop.detector else []
    files = (recogniser / name for name in (*NEEDED, *_BESIDE, *carried))
    return [file for file in files if file.exists()]
