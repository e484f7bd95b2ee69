"""Networks with the signature of MegaDetector's exports, whose output is known."""

import numpy as np

SIDE = 64


def centred(corners):
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def filled(rows, number=12):
    """The rows among others that say nothing."""
    return np.concatenate([rows, np.zeros((number - len(rows), rows.shape[1]))])[None]


def network(output, probe=(0, 0, 0), scored=slice(None)):
    """An ONNX file that puts out `output`, `scored` times what it sees at a place of a channel."""
    from onnx import TensorProto, helper, numpy_helper

    shapes = {"images": [1, 3, SIDE, SIDE], "output0": list(output.shape)}
    given, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    arrays = {
        "scores": np.zeros(output.shape, np.float32),
        "places": np.float32(output),
        "starts": np.array(probe),
        "ends": np.array(probe) + 1,
        "axes": np.array([1, 2, 3]),
    }
    arrays["scores"][..., scored] = output[..., scored]
    arrays["places"][..., scored] = 0
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["pixel"]),
        helper.make_node("Squeeze", ["pixel"], ["seen"]),
        helper.make_node("Mul", ["scores", "seen"], ["product"]),
        helper.make_node("Add", ["places", "product"], ["output0"]),
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "known", [given], [result], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()
