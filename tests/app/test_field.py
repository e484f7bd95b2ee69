"""The page without a network: the recogniser runs in the browser, and corrections wait."""

import functools
import hashlib
import http.server
import io
import json
import shutil
import threading
import urllib.request

import numpy as np
import pytest
from local_server import running
from PIL import Image

from pipeline.app import champion, field, server, web_runtime
from pipeline.app.access import Access
from pipeline.app.champion import Champion
from pipeline.export import web
from pipeline.inference.novelty import FILE, NoveltyDetector
from pipeline.inference.open_set import ImageNet, OpenSetRule
from pipeline.sources.feedback import Feedback

pytestmark = pytest.mark.slow
ASK = """async (bytes) => {
  const local = await import(new URL("static/js/local.js", location));
  const api = await import(new URL("static/js/api.js", location));
  const file = new Blob([Uint8Array.from(bytes)]);
  return [(await api.answer(file, "x")).answer, (await local.answer(file, "x")).answer];
}"""


@pytest.fixture(scope="module")
def runtime():
    """LiteRT.js, where it was fetched before: tests use no network."""
    if not web_runtime.FOLDER.exists():
        pytest.skip("no LiteRT.js: `animal app --field` fetches it once")
    return web_runtime.FOLDER


def photo(form, size, seed=0, mode="RGB", **options) -> bytes:
    """Smooth colours, so that what differs is how they are decoded and resized."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (5, 7, len(mode)), dtype=np.uint8)
    if mode == "L":
        small = small[..., 0]
    file = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(file, form, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


PHOTOS = {
    "wide": photo("JPEG", (700, 300), 1),
    "tall": photo("PNG", (130, 611), 2),
    "tiny": photo("PNG", (11, 17), 3),
    "grey": photo("JPEG", (400, 401), 4, "L"),
    "turned": photo("JPEG", (320, 200), 5, exif=turned()),
    "transparent": photo("PNG", (90, 80), 6, "RGBA"),
}


@pytest.fixture(scope="module")
def address(recogniser, runtime):
    app = server.build(Champion(str(recogniser)), Access(), runtime=runtime)
    with running(app) as address:
        yield f"{address}/"


@pytest.fixture(scope="module")
def page(browser, address):
    """The page in one tab, in which the network is loaded once."""
    page = browser.new_page()
    page.goto(address)
    page.locator(".dot.on").wait_for()
    yield page
    page.close()


@pytest.mark.parametrize("name", PHOTOS)
def test_a_browser_answers_what_the_server_answers(page, name):
    theirs, ours = page.evaluate(ASK, list(PHOTOS[name]))
    probabilities, expected = (
        {one["species"]: one["probability"] for one in answer["top"]} for answer in (ours, theirs)
    )
    assert probabilities == pytest.approx(expected, abs=0.005)
    assert ours["photo"] == hashlib.sha256(PHOTOS[name]).hexdigest() == theirs["photo"]
    if name != "grey":  # which this recogniser finds as red as blue
        for key in ("species", "kind", "unknown", "prediction_set"):
            assert ours[key] == theirs[key], key


def test_the_runtime_is_small_as_it_is_sent(address):
    sent = 0
    for name in ("index.js", "wasm-utils.js", "wasm/litert_wasm_internal.js"):
        sent += compressed(address, f"static/litert/{name}")
    sent += compressed(address, "static/litert/wasm/litert_wasm_internal.wasm")
    assert 2e6 < sent < 3e6


def compressed(address, path) -> int:
    """Returns the number of bytes that a browser gets of a file."""
    request = urllib.request.Request(f"{address}{path}", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Encoding"] == "gzip", path
        return len(answer.read())


def random_detector(generator: np.random.Generator, threshold: float) -> NoveltyDetector:
    """Makes a detector for a network of five features and three species."""
    return NoveltyDetector(
        projection=generator.normal(size=(2, 5)),
        centre=generator.normal(size=5),
        species=generator.normal(size=(3, 2)),
        whole=generator.normal(size=(2, 2)),
        standard=np.array([[1.0, 2.0], [3.0, 4.0]]),
        threshold=threshold,
    )


JUDGE = """async (cases) => {
  const { kindOf } = await import(new URL("static/js/local.js", location));
  return cases.map(([outputs, probability, about]) => kindOf(outputs, probability, about));
}"""


def test_a_browser_judges_as_the_server_does(page):
    """Known, unknown or no animal, by random outputs of a network with all it may have."""
    generator = np.random.default_rng(3)
    detector = random_detector(generator, threshold=0.0)
    imagenet = ImageNet("x", ("cat", "dog"), 0.3)
    cases, expected = [], []
    for case in range(60):
        outputs = {
            "features": generator.normal(size=5),
            "logits": generator.normal(size=3),
            "imagenet": generator.normal(size=6),
        }
        some = detector if case % 3 else None
        classes = imagenet if case % 2 else None
        probability = float(generator.uniform())
        expected.append(OpenSetRule(0.5, some, classes).answer_kind(outputs, probability)["kind"])
        about = {
            "calibration": {"unknown_below": 0.5},
            "novelty": some and {k: np.asarray(v).tolist() for k, v in vars(some).items()},
            "imagenet": classes and {"animals": ["cat", "dog"], "animal_from": 0.3},
        }
        cases.append([{k: v.tolist() for k, v in outputs.items()}, probability, about])
    assert set(expected) == {"species", "unknown_animal", "no_animal"}
    assert page.evaluate(JUDGE, cases) == expected


def test_without_a_network_photos_are_named_and_corrections_wait(
    browser, recogniser, runtime, tmp_path
):
    Image.new("RGB", (60, 50), "red").save(tmp_path / "red.jpg")
    feedback = Feedback(tmp_path / "feedback")
    app = server.build(Champion(str(recogniser)), Access(), feedback.folder, None, runtime)
    with running(app) as address:
        context = browser.new_context(locale="en-GB")
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/#review")
        page.locator("html[data-offline=ready]").wait_for()
        page.goto(f"{address}/")
        context.set_offline(True)
        page.reload()
        page.get_by_text("answers on this device").wait_for()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose photos").click()
        chooser.value.set_files(str(tmp_path / "red.jpg"))
        page.locator(".card .percent").wait_for()
        page.get_by_role("link", name="Review").click()
        page.get_by_label("Your name").fill("Anna")
        page.locator(".review .card").first.press("2")
        page.get_by_text("1 of 1 reviewed").wait_for()
        assert feedback.decisions() == []
        context.set_offline(False)
        page.evaluate("import(new URL('static/js/model.js', location)).then((m) => m.refresh())")
        page.get_by_text("1 correction made without a network was sent.").wait_for()
        (one,) = feedback.decisions()
        context.close()
    data = (tmp_path / "red.jpg").read_bytes()
    assert (one.photo, one.who) == (hashlib.sha256(data).hexdigest(), "Anna")
    assert one.label in ("blue & co", "red") and one.label != one.answered
    assert (feedback.folder / one.file).read_bytes() == data


def test_a_static_folder_names_photos_without_any_server_of_ours(
    browser, recogniser, runtime, tmp_path
):
    web.for_browsers(str(recogniser), tmp_path / "web")
    assert "Content-Security-Policy" in (tmp_path / "web/index.html").read_text()
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web")
    )
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as hosted:
        threading.Thread(target=hosted.serve_forever, daemon=True).start()
        page = browser.new_page(locale="en-GB")
        page.goto(f"http://127.0.0.1:{hosted.server_port}/")
        page.get_by_text("answers on this device").wait_for()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose photos").click()
        Image.new("RGB", (60, 50), "blue").save(tmp_path / "blue.png")
        chooser.value.set_files(str(tmp_path / "blue.png"))
        page.locator(".card .percent").wait_for()
        page.close()
        hosted.shutdown()


def test_a_browser_gets_the_network_that_the_server_runs(recogniser, tmp_path):
    served = Champion(str(recogniser))
    served.refresh()
    with running(server.build(served, runtime=tmp_path)) as address:
        with urllib.request.urlopen(f"{address}/field/recogniser.json") as answer:
            described = json.load(answer)
        with urllib.request.urlopen(f"{address}/field/model.tflite") as answer:
            network = answer.read()
    assert network == (recogniser / "model.tflite").read_bytes()
    assert hashlib.sha256(network).hexdigest() == described["sha256"]


def test_what_a_browser_computes_with_is_all_there(recogniser, tmp_path):
    folder = tmp_path / "artifacts" / "recogniser"
    shutil.copytree(recogniser, folder)
    detector = random_detector(np.random.default_rng(1), threshold=0.5)
    (folder / FILE).write_bytes(detector.to_bytes())
    written = json.loads(json.dumps(field.describe(champion.load(str(folder)))))
    assert (written["size"], written["fit"]) == (32, "crop")
    assert written["calibration"]["temperature"] == 0.5
    for name in ("projection", "centre", "species", "whole", "standard"):
        np.testing.assert_allclose(written["novelty"][name], getattr(detector, name), rtol=1e-5)
    assert written["novelty"]["threshold"] == 0.5
