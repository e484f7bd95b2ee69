import numpy as np
import pytest

from pipeline.inference.litert import Network
from pipeline.networks import heads, keras_setup, litert_export, served_outputs
from pipeline.networks.backbones import Classifier

ALWAYS = {"probabilities", "logits", "features"}
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)


@pytest.fixture(scope="module")
def model():
    """A recogniser as `trainer.fit` builds it: features of two networks side by side."""
    keras_setup.seed(0)
    keras = keras_setup.keras()
    layers = keras.layers
    pixels = keras.Input((24, 24, 3), name="pixels")
    towers = []
    for channels in (4, 6):
        inside = keras.Input((24, 24, 3))
        maps = layers.Conv2D(channels, 3, 2, activation="relu")(layers.Rescaling(0.01)(inside))
        towers.append(keras.Model(inside, layers.GlobalAveragePooling2D()(maps))(pixels))
    features = layers.Concatenate(name="features")(towers)
    head = heads.build(10, 3, hidden=0, dropout=0.5)
    outputs = layers.Softmax(name="probabilities")(head(features))
    return keras.Model(pixels, outputs, name="recogniser")


@pytest.fixture(scope="module")
def classifier():
    rng = np.random.default_rng(1)
    return Classifier("it", rng.normal(size=(6, 7)).astype("f"), rng.normal(size=7).astype("f"))


@pytest.fixture(scope="module")
def network(model, classifier):
    answering = served_outputs.answering(model, classifier)
    return Network(litert_export.to_litert(answering), workers=1)


def test_all_outputs_follow_from_the_features_as_the_layers_say(network, model, classifier):
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("head").get_weights())
    expected_answers = litert_export.predict_on_cpu(model, [PICTURES])
    for picture, expected in zip(PICTURES, expected_answers, strict=True):
        outputs = network.outputs(picture)
        assert set(outputs) == {"imagenet", "activation_maps", *ALWAYS}
        np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-4)
        np.testing.assert_array_equal(network.one(picture), outputs["probabilities"])
        features = outputs["features"]
        np.testing.assert_allclose(outputs["logits"], features @ kernel + bias, rtol=1e-4)
        imagenet = features[-6:] @ classifier.kernel + classifier.bias
        np.testing.assert_allclose(outputs["imagenet"], imagenet, rtol=1e-4)


def test_the_features_are_those_of_the_networks(network, model):
    towers = [layer for layer in model.layers if isinstance(layer, type(model))][:2]
    for picture in PICTURES:
        alone = [np.asarray(tower(picture[None].astype("f")))[0] for tower in towers]
        np.testing.assert_allclose(
            network.outputs(picture)["features"], np.concatenate(alone), rtol=1e-4
        )


def test_a_network_without_a_classifier_has_no_such_output(model):
    assert set(served_outputs.answering(model).output) == {"activation_maps", *ALWAYS}


def test_the_maps_say_what_each_place_adds_to_the_logits(network, model):
    kernel, bias = model.get_layer("head").get_weights()
    towers = [layer for layer in model.layers if isinstance(layer, type(model))][:2]
    before = [type(model)(tower.input, tower.layers[-1].input) for tower in towers]
    for picture in PICTURES:
        outputs = network.outputs(picture)
        maps = [np.asarray(one(picture[None].astype("f")))[0] for one in before]
        expected = np.concatenate(maps, axis=-1) @ kernel + bias
        np.testing.assert_allclose(outputs["activation_maps"], expected, rtol=1e-3, atol=1e-4)
        mean = outputs["activation_maps"].mean(axis=(0, 1))
        np.testing.assert_allclose(mean, outputs["logits"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", ["hidden", "not a mean", "other sizes"])
def test_other_networks_have_no_maps(case):
    keras_setup.seed(0)
    keras = keras_setup.keras()
    layers = keras.layers
    pixels = keras.Input((24, 24, 3))
    towers = []
    for stride in (2, 3 if case == "other sizes" else 2):
        inside = keras.Input((24, 24, 3))
        maps = layers.Conv2D(4, 3, stride)(inside)
        pool = layers.GlobalMaxPooling2D if case == "not a mean" else layers.GlobalAveragePooling2D
        towers.append(keras.Model(inside, pool()(maps))(pixels))
    features = layers.Concatenate()(towers)
    head = heads.build(8, 3, hidden=5 if case == "hidden" else 0, dropout=0.5)
    model = keras.Model(pixels, layers.Softmax()(head(features)))
    answering = served_outputs.answering(model)
    assert set(answering.output) == ALWAYS
    picture = PICTURES[:1].astype("f")
    np.testing.assert_allclose(answering(picture)["probabilities"], model(picture), rtol=1e-4)


def test_the_only_output_of_another_network_is_its_answer():
    keras_setup.seed(0)
    keras = keras_setup.keras()
    pixels = keras.Input((8, 8, 3))
    exported = litert_export.to_litert(keras.Model(pixels, keras.layers.Flatten()(pixels)))
    network = Network(exported, workers=1)
    picture = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    assert list(network.outputs(picture)) == ["probabilities"]
    np.testing.assert_array_equal(network.one(picture), picture.reshape(-1))


PRETRAINED = {"backbone": "efficientnet_lite0", "weights": "imagenet", "unfrozen_blocks": 0}


@pytest.mark.parametrize(
    "other",
    [
        {"backbone": "scratch_cnn"},
        {"weights": "none"},
        {"weights": "my.pth"},
        {"unfrozen_blocks": 1},
    ],
)
def test_only_features_that_the_classifier_was_trained_on_have_one(other):
    assert served_outputs.classifier(PRETRAINED | other) is None


@pytest.mark.parametrize(
    ("backbone", "of"),
    [
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("efficientnet_lite0+efficientnet_lite2", "efficientnet_lite2"),
    ],
)
def test_the_classifier_is_that_of_the_last_network(backbone, of):
    found = served_outputs.classifier(PRETRAINED | {"backbone": backbone})
    assert (found.of, found.kernel.shape, found.bias.shape) == (of, (1280, 1000), (1000,))


def test_the_animals_are_named_in_the_order_of_imagenet():
    names = served_outputs.animals()
    assert len(names) == len(set(names)) == 398
    known = {0: "tench", 1: "goldfish", 99: "goose", 207: "Golden Retriever", 292: "tiger"}
    known |= {340: "zebra", 345: "ox", 388: "giant panda", 397: "pufferfish"}
    assert {position: names[position] for position in known} == known
