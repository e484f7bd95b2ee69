"""The report as one page: what it shows, and how a browser takes it."""

import html
import io
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import shard_files
from PIL import Image

from pipeline.dataset import shards
from pipeline.evaluate import report_page, slices
from pipeline.evaluate.report import Report
from pipeline.inference.calibration import Calibration

LABELS = (
    "ant",
    "<b>bee</b>",
    "a cat with a name as long as a wide table of a phone's width is",
    "newt",
)
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/metrics.schema.json").read_text())
# What others write into metrics.json, nested as they like.
MORE = {
    "unknown": {"rejected": {"known": 0.05, "other": 0.87}, "threshold": -1.25},
    "worsened": [
        {"corruption": "blur", "accuracy": 0.8123},
        {"corruption": "fog", "accuracy": 0.7},
    ],
    "promises": {"a": {"coverage": 0.91, "size": 2}, "b": {"coverage": 0.97, "size": 3}},
    "risk": {"curve": {"shares": [0.25, 0.5], "of": {"deep": {"accuracy": 0.4321}}}},
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report of 90 pictures of noise, uneven, a quarter of them named wrongly."""
    folder = tmp_path_factory.mktemp("reports")
    rng = np.random.default_rng(0)
    targets = rng.choice(3, 90, p=[0.6, 0.3, 0.1])
    named = np.where(rng.random(90) < 0.25, (targets + 1) % 4, targets)
    raw = rng.dirichlet([1] * 4, 90) + 1.5 * np.eye(4)[named]
    pictures = rng.integers(0, 256, (90, 24, 24, 3), dtype=np.uint8)
    shard_files.write(folder / "resized", pd.DataFrame({"photo": range(90)}), pictures)
    photos = [f"p{i:02d}" for i in range(90)]
    test = pd.DataFrame({"photo": photos, "path": photos, "species": np.array(LABELS)[targets]})
    test = test.assign(
        box=None, location=None, kind="species", group=[f"g{i // 2}" for i in range(90)]
    )
    light = np.where(targets == 2, "infrared", "day")
    facets = pd.DataFrame({"light": light, "source": [f"s{i % 4}" for i in range(90)]})
    assert slices.MIN_PHOTOS <= 90 // 4
    facts = {
        "validation": {"photos": 300, "accuracy": 0.7654},
        "chosen": "tuned",
        "run_id": "abc",
        "precision": {"served": "float"},
        "keras_and_litert": {"pictures": 64, "same_label": 64, "largest_difference": 3e-7},
        "drawn": False,
    }
    calibration = Calibration(temperature=1.2, unknown_below=0.5, set_from=0.3)
    report = Report.of(
        test, raw / raw.sum(axis=1, keepdims=True), LABELS, calibration, facets, facts
    )
    report.summary.update(MORE)
    report.save(folder, shards.Shards(folder / "resized"))
    Image.new("RGB", (300, 200)).save(folder / "plots/worsened_curves.png")
    Image.new("RGB", (300, 200)).save(folder / "plots/stray.png")
    (folder / "model_card.md").write_text("a card")
    check = {"name": "accuracy", "measured": 0.75, "limit": 0.7, "passed": True}
    decision = {"version": 3, "outcome": "registered; promoted", "promoted": True, "champion": 3}
    decision["checks"] = [check | {"reason": "test accuracy: 0.75 reaches 0.7"}]
    (folder / "registration.json").write_text(json.dumps(decision))
    return folder


@pytest.fixture(scope="module")
def drawn(reports):
    return report_page.draw(reports)


def numbers(text):
    return set(re.findall(r"(?<![\w.])[-+]?\d[\d,]*\.\d+(?:e-\d+)?(?![\w.])", text))


def leaves(value):
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def test_every_number_on_the_page_is_in_the_metrics(reports, drawn):
    body = drawn[drawn.index("<body>") :].split("<h2>Does it serve?</h2>")
    body = body[0] + body[1][body[1].index("<h2>") :]
    shown = numbers(html.unescape(re.sub(r"<[^>]*>|data:[^\"]*", " ", body)))
    metrics = json.loads((reports / "metrics.json").read_text())
    known = set()
    for value in leaves(metrics):
        if isinstance(value, float):
            known |= {f"{value:.3f}", f"{value:.2g}", f"{100 * value:.1f}"}
    assert len(shown) > 60
    assert shown <= known


def test_the_metrics_are_as_their_schema_says(reports):
    metrics = json.loads((reports / "metrics.json").read_text())
    jsonschema.validate(metrics, SCHEMA)
    for broken in (
        metrics | {"test": metrics["test"] | {"accuracy": 1.2}},
        metrics | {"slices": [metrics["slices"][0] | {"worse": "no"}]},
        {name: value for name, value in metrics.items() if name != "species"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


def test_names_are_text(drawn):
    assert "<b>bee" not in drawn
    assert "&lt;b&gt;bee&lt;/b&gt;" in drawn


def test_sections_of_others_and_their_plots_are_shown(drawn):
    for text in ("<h2>unknown</h2>", "<h2>worsened</h2>", "0.870", "0.812", "-1.250", "0.432"):
        assert text in drawn, text
    assert re.search(r"<td>a</td>\s*<td[^>]*>0.910</td>\s*<td[^>]*>2</td>", drawn.replace("\n", ""))
    assert drawn.index("<h2>worsened</h2>") < drawn.index('alt="worsened curves"')
    assert drawn.index("<h2>More plots</h2>") < drawn.index('alt="stray"')
    assert drawn.count('alt="stray"') == drawn.count('alt="worsened curves"') == 1


def test_it_is_whole_without_what_is_not_there(reports, tmp_path):
    metrics = json.loads((reports / "metrics.json").read_text())
    few = {"test": metrics["test"], "drawn": True}
    (tmp_path / "metrics.json").write_text(json.dumps(few))
    found = report_page.draw(tmp_path)
    assert "drawn by code" in found
    for heading in (
        "Does it serve",
        "Where it is worse",
        "Mistakes",
        "Labels to check",
        "More plots",
    ):
        assert heading not in found


def test_pictures_are_those_of_the_shards(reports, drawn):
    metrics = json.loads((reports / "metrics.json").read_text())
    for row in metrics["mistakes"]:
        data = (reports / f"plots/photos/{row['picture']}.jpg").read_bytes()
        assert report_page._coded(data, "jpeg") in drawn
        whole = shards.Shards(reports / "resized").take([row["picture"]])[0]
        small = np.asarray(Image.open(io.BytesIO(data)).resize((24, 24)), float)
        assert np.corrcoef(small.ravel(), whole.ravel())[0, 1] > 0.5


@pytest.fixture(scope="module")
def tab(browser):
    """One tab, for a new one takes a second."""
    page = browser.new_page()
    yield page
    page.close()


def luminance(colour):
    return np.mean([int(part) for part in re.findall(r"\d+", colour)[:3]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme", "media"),
    [
        (390, "light", "screen"),
        (390, "dark", "screen"),
        (1300, "light", "screen"),
        (1300, "dark", "screen"),
        (794, "light", "print"),
    ],
)
def test_a_browser_shows_it_without_a_request(drawn, tab, tmp_path, width, scheme, media):
    """From the disk: nothing is asked of a network, nothing is wider than the window."""
    (tmp_path / "index.html").write_text(drawn)
    requests, said = [], []
    listeners = {
        "request": lambda request: requests.append(request.url),
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(media=media, color_scheme=scheme)
    tab.goto((tmp_path / "index.html").as_uri())
    wide = tab.evaluate("document.documentElement.scrollWidth")
    broken = "[...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    assert wide <= width
    assert tab.evaluate(broken) == 0
    assert tab.evaluate("document.images.length") == drawn.count("<img ") > 10
    assert tab.locator("h2").count() == drawn.count("<h2")
    text = luminance(tab.evaluate("getComputedStyle(document.body).color"))
    assert (text > 200) == (scheme == "dark"), "text is as dark as the page"
    if media == "print":
        assert tab.pdf().startswith(b"%PDF")
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    assert [url for url in requests if not url.startswith("data:")] == [
        (tmp_path / "index.html").as_uri()
    ]
    assert not said and "<script" not in drawn
