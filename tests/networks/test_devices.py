import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train import test_trainer
from train.test_trainer import train

from networks import test_litert_export
from pipeline.networks import devices, heads, keras_setup, litert_export
from pipeline.train import batches as batching
from pipeline.train import early_stopping, feature_store, phases, schedules

SIZE, LABELS = 32, 3


def cross_entropy():
    return keras_setup.keras().losses.CategoricalCrossentropy(from_logits=True)


def learn(network, inputs: np.ndarray, precision: str = "float32", steps: int = 1):
    """Losses of some epochs, the network that was trained, and `network` with its weights."""
    keras_setup.seed(0)
    keras = keras_setup.keras()
    targets = np.arange(len(inputs)) % LABELS
    array = keras.ops.convert_to_tensor(inputs) if inputs.ndim == 2 else inputs  # as of a head
    examples = batching.Examples(feature_store.Features((array,)), targets, LABELS)
    phase = phases.Phase("head", network, phases.FitInputs(examples, examples, None), train(), 0)
    batches = phase.batches(0)
    rates = schedules.warm_up_cosine(0.003, 3 * len(batches), len(batches))
    learner = devices.compiled(
        network, precision, lambda: keras.optimizers.AdamW(rates), cross_entropy(), steps
    )
    stopping = early_stopping.ValidatedEarlyStopping(batching.ValidationBatches(examples, 16), 3)
    history = learner.fit(
        devices.feed(batches, phase.features),
        epochs=3,
        steps_per_epoch=len(batches),
        shuffle=False,
        verbose=0,
        callbacks=[stopping],
    )
    network.set_weights(learner.get_weights())
    return history.history, learner


def head():
    keras_setup.seed(0)
    inputs = np.random.default_rng(0).random((60, 8), dtype=np.float32)
    return heads.build(8, LABELS, 16, 0.0), inputs


def pixels():
    keras_setup.seed(0)
    keras = keras_setup.keras()
    whole = test_trainer.network(SIZE)
    top = heads.build(whole.output.shape[-1], LABELS, 0, 0.0)
    inputs = np.random.default_rng(0).integers(0, 255, (60, SIZE, SIZE, 3), dtype=np.uint8)
    return keras.Model(whole.input, top(whole.output)), inputs


def on_two_devices() -> None:
    for made, steps in ((head, 4), (pixels, 1)):
        (alone, inputs), (shared, _) = made(), made()
        devices.training_gpus = lambda: []
        one, _ = learn(alone, inputs)
        devices.training_gpus = lambda: ["cpu:0", "cpu:1"]
        two, learner = learn(shared, inputs, steps=steps)
        assert learner.distribute_strategy.num_replicas_in_sync == 2
        for name in one:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-3, err_msg=name)
        for left, right in zip(alone.get_weights(), shared.get_weights(), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-2, atol=1e-3)


def where_one_of_two_devices_overflows() -> None:
    devices.training_gpus = lambda: ["cpu:0", "cpu:1"]
    network, inputs = head()
    before = network.get_weights()
    inputs[:1] = 1e6  # no float16; in every epoch one device meets it, and the other does not
    _, learner = learn(network, inputs, "auto")
    assert learner.optimizer.dynamic_scale < learner.optimizer.initial_scale
    for left, right in zip(before, network.get_weights(), strict=True):
        assert np.isfinite(right).all()
        assert not np.array_equal(left, right)


def on_another_device() -> None:
    import tensorflow as tf

    with tf.device("CPU:1"):  # as if it were a GPU, where Keras would have XLA compile it
        model = test_litert_export.network(seed=None)  # but where all is deterministic
        pictures = test_litert_export.some()
        model.jit_compile = True
        expected = model(pictures)
    batches = pictures[:13], pictures[13:]
    np.testing.assert_allclose(litert_export.predict_on_cpu(model, batches), expected, atol=1e-6)


# TensorFlow's devices are decided once, so a process of its own has two CPUs.
TWO_CPUS = f"""
import json, sys, traceback
sys.path[:] = {[str(Path(__file__).parents[1]), *sys.path]!r}
import tensorflow as tf
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
from networks import test_devices
errors = {{}}
for name in sys.argv[1:]:
    try:
        getattr(test_devices, name)()
        errors[name] = ""
    except Exception:
        errors[name] = traceback.format_exc()
print(json.dumps(errors))
"""


@pytest.fixture(scope="module")
def errors():
    """What went wrong in each of the functions above in a process with two CPUs."""
    functions = on_two_devices, where_one_of_two_devices_overflows, on_another_device
    command = [sys.executable, "-c", TWO_CPUS, *(function.__name__ for function in functions)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_together_learn_what_one_does(errors):
    assert not errors["on_two_devices"], errors["on_two_devices"]


@pytest.mark.slow
def test_a_step_that_overflows_on_one_of_two_devices_is_left_out(errors):
    name = "where_one_of_two_devices_overflows"
    assert not errors[name], errors[name]


@pytest.mark.slow
def test_the_cpu_answers_for_a_network_on_another_device(errors):
    assert not errors["on_another_device"], errors["on_another_device"]


def test_what_is_fed_goes_on_over_the_epochs():
    inputs, targets = np.arange(60.0)[:, None], np.arange(60) % LABELS
    examples = batching.Examples(feature_store.Features((inputs,)), targets, LABELS)
    batches = batching.TrainingBatches(examples, train(), first_epoch=2)
    for number, batch in zip(range(10), devices.feed(batches), strict=False):
        for given, fed in zip(batches[number], batch, strict=True):
            np.testing.assert_array_equal(given, fed)


def test_features_are_gathered_by_the_numbers_that_batches_hold():
    rng = np.random.default_rng(0)
    first, second = (rng.random((40, n), dtype=np.float32) for n in (3, 2))
    rows = rng.permutation(40)[:30]
    targets = np.arange(30) % LABELS
    plain = feature_store.Features((first, second), rows)
    tensors = map(keras_setup.keras().ops.convert_to_tensor, plain.arrays)
    held = feature_store.Features(tuple(tensors), rows)
    of = phases.FitInputs(*[batching.Examples(held, targets, LABELS)] * 2, index=None)
    phase = phases.Phase("head", None, of, train(), 0.01)
    batches = batching.TrainingBatches(batching.Examples(plain, targets, LABELS), train())
    assert phase.batches(0)[0][0].ndim == 1, "numbers of rows"
    fed = devices.feed(phase.batches(0), phase.features)
    for number, batch in zip(range(2 * len(batches)), fed, strict=False):
        for given, gathered in zip(batches[number], batch, strict=True):
            np.testing.assert_array_equal(given, gathered)


@pytest.mark.slow
def test_without_a_gpu_the_network_itself_trains_in_float32():
    network, inputs = head()
    _, learner = learn(network, inputs, "auto")
    assert learner is network


@pytest.mark.slow
def test_on_a_gpu_float16_computes_and_float32_weights_come_back(monkeypatch):
    monkeypatch.setattr(
        devices, "training_gpus", lambda: ["gpu:0"]
    )  # float16 works on a CPU, slowly
    network, inputs = pixels()
    history, learner = learn(network, inputs, "auto")
    assert {layer.compute_dtype for layer in learner.layers[1:-1]} == {"float16"}
    assert learner.layers[-1].get_layer("logits").compute_dtype == "float32"
    assert history["loss"][-1] < history["loss"][0]
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    said, again = (n.predict(inputs, verbose=0) for n in (learner, network))
    np.testing.assert_allclose(said, again, atol=0.05)
    _, plain = learn(pixels()[0], inputs, "float32")
    assert {layer.compute_dtype for layer in plain.layers} == {"float32"}


@pytest.mark.slow
def test_steps_that_run_at_once_end_with_the_same_weights():
    found = []
    for steps in (1, 4):
        network, inputs = head()
        losses, _ = learn(network, inputs, steps=steps)
        found.append((losses, network.get_weights()))
    assert found[0][0] == found[1][0]
    for left, right in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_on_a_gpu_networks_with_operations_that_are_no_layers_train_too(monkeypatch):
    monkeypatch.setattr(devices, "training_gpus", lambda: ["gpu:0"])
    keras_setup.seed(0)
    keras = keras_setup.keras()
    pixels = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3)(pixels)
    x = x * keras.ops.relu6(x + 3.0) / 6.0  # as in MobileNetV3
    network = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
    learner = devices.compiled(network, "auto", keras.optimizers.AdamW, cross_entropy())
    for left, right in zip(network.get_weights(), learner.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("hidden", [0, 16])
@pytest.mark.parametrize("count", [None, 3])
def test_on_a_gpu_logits_are_float32_in_every_head(monkeypatch, hidden, count):
    monkeypatch.setattr(devices, "training_gpus", lambda: ["gpu:0"])
    keras_setup.seed(0)
    keras = keras_setup.keras()
    network = heads.build(8, LABELS, hidden, 0.1, count)
    learner = devices.compiled(network, "auto", keras.optimizers.AdamW, cross_entropy())
    kinds = [layer.compute_dtype for layer in learner.layers if layer.weights]
    assert kinds == ["float16"] * bool(hidden) + ["float32"]
    for training in (False, True):
        assert learner(np.ones((2, 8), np.float16), training=training).dtype == "float32"
