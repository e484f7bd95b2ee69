import shutil

from pipeline.inference import recogniser_files
from pipeline.inference.crops import SubjectCrop


def names(folder):
    return [path.name for path in recogniser_files.of(folder)]


def test_only_what_decides_answers_is_listed(recogniser, tmp_path):
    """A Keras network and a journal lie there too, and a file that it lacks is passed over."""
    folder = shutil.copytree(recogniser, tmp_path / "recogniser")
    (folder / "model.keras").touch()
    (folder / "all.csv.journal").touch()
    assert names(folder) == ["model.tflite", "labels.json"]
    for name in ("taxonomy.json", "novelty.npz", "pooling.json"):
        (folder / name).touch()
    (folder / "finding.json").write_bytes(SubjectCrop(0.1, detector="boxes.onnx").written())
    beside = ["model.tflite", "labels.json", "novelty.npz", "finding.json", "pooling.json"]
    assert names(folder) == [*beside, "taxonomy.json"]
    (folder / "boxes.onnx").touch()
    assert names(folder) == [*beside, "taxonomy.json", "boxes.onnx"]
