"""What a person corrects on the page, the next champion knows; and the page trains it."""

import json
import os
import re
import shutil
import signal
import time

import pandas as pd
import pytest

from e2e.conftest import STAGES
from pipeline.sources.recipes.synthetic.collection import Drawn, draw

pytestmark = pytest.mark.slow
HORSES = Drawn.model_construct(  # of one species, which no recipe may have
    species=["horse"],
    per_species=30,
    size=128,
    seed=2,
    exact_duplicates=0,
    near_duplicates=0,
    broken=0,
)
CORRECTED = 20  # the other horses are shown to no network before it serves
ITEMS = """async () => {
  const { items } = await import(new URL("static/js/recognise.js", location));
  return Object.fromEntries(items.map(({ name, answer }) => [name, answer.species]));
}"""
SERVES_ANOTHER = """(former) => {
  const serves = document.querySelector(".versions .serves h3");
  return serves && serves.textContent !== former;
}"""


def species(page, files):
    """Names photos on the page, or those that are there already once more."""
    page.get_by_role("link", name="Recognise").click()
    there = page.evaluate(ITEMS)
    if again := page.get_by_role("button", name="older answer").all():
        again[0].click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose photos").click()
    chooser.value.set_files([file for file in files if file.name not in there])
    page.locator(".card.waiting").first.wait_for(state="detached")
    page.locator(".progress progress").wait_for(state="detached")
    named = page.evaluate(ITEMS)
    return [named[file.name] for file in files]


def kill_in_the_search(folder, seconds=600):
    """Kills the run in the second trial of its search, as a machine that goes off.

    Gives what it printed before.
    """
    log, state = folder / ".cache/app/run.log", folder / ".cache/app/run.json"
    end = time.monotonic() + seconds
    while "\ntrial   0" not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    os.killpg(json.loads(state.read_text())["pid"], signal.SIGKILL)
    return log.read_text()


def test_a_folder_and_twenty_corrections_become_a_champion_that_knows_them(
    project, browser, tmp_path
):
    """The champion knows no horses; in the folder they stand among the zebras."""
    copy, photos = project.copy(tmp_path / "project"), tmp_path / "photos"
    copy.set(**{"tune.trials": 2, "register.max_drop": 1.0})
    shutil.copytree(project.folder / "data/ingested/files", photos)
    draw(HORSES, tmp_path / "drawn")
    horses = sorted((tmp_path / "drawn/horse").iterdir())
    for path in horses[:CORRECTED]:
        shutil.copyfile(path, photos / "zebra" / f"horse {path.name}")
    app = ["animal", "app", "--feedback", "data/feedback", "--folders", str(tmp_path)]
    page = browser.new_page(locale="en-GB", reduced_motion="reduce")
    page.set_default_timeout(600_000)
    with copy.listening(*app, ready="/health") as (address, _):
        page.goto(address)
        page.locator(".dot.on").wait_for()
        former = page.locator("#model strong").inner_text()
        answers = species(page, horses[:CORRECTED])

        page.get_by_role("link", name="Review").click()
        page.get_by_label("Your name").fill("Anna")
        page.locator(".review .card").first.press("Control+a")
        page.keyboard.type("horse")
        page.keyboard.press("Enter")
        page.get_by_text(f"{CORRECTED} of {CORRECTED} reviewed").wait_for()

        page.get_by_role("link", name="Train").click()
        page.get_by_role("button", name="Choose a collection").click()
        page.get_by_role("button", name="photos", exact=True).click()
        page.get_by_role("button", name="Use this folder").click()
        page.locator(".collection-summary .chip", has_text="horse").wait_for()
        first_log = (copy.folder / ".cache/app/run.log").read_text()
        page.get_by_role("button", name="Train", exact=True).click()
        killed_log = kill_in_the_search(copy.folder)
        page.locator("#run").get_by_text("It stopped before the end.").wait_for()
        page.get_by_role("button", name="Train", exact=True).click()
        page.wait_for_function(SERVES_ANOTHER, arg=former, polling=1000)  # not at each frame
        stages = page.locator(".stages li").evaluate_all("all => all.map((one) => one.className)")

        serves = page.locator(".versions .serves h3").inner_text()
        page.locator("#model strong", has_text=serves).wait_for()
        known = species(page, horses)
        page.get_by_role("button", name="About it").click()
        new = page.get_by_role("dialog").locator(".chips li").all_inner_texts()
    page.close()
    assert "photos of data/feedback: 20 relabelled, 0 added, 0 left out\n" in first_log
    assert stages == ["unchanged"] * 5 + ["done"] * 3
    last_log = (copy.folder / ".cache/app/run.log").read_text()
    ran = copy.stages_of(first_log + killed_log + last_log)
    assert ran == [*STAGES[:6], *STAGES[5:]], "each once and in order, but for the search"
    trials = re.findall(r"^trial +(\d+)", last_log, re.MULTILINE)
    assert trials in (["1"], ["2"]), "the search goes on; a trial that was killed has a new number"
    trials = pd.read_csv(copy.folder / "models/tuned/trials.csv")
    finished = trials[trials["state"].isin(["complete", "pruned"])]
    assert len(finished) == 2 and not finished.filter(like=".").duplicated().any()
    assert "horse" not in answers
    assert new == ["cat", "fish", "horse", "owl", "zebra"]
    manifest = pd.read_parquet(copy.folder / "data/ingested/manifest.parquet")
    corrected = manifest[manifest["path"].str.startswith("zebra/horse ")]
    assert set(corrected["species"]) == {"horse"} and len(corrected) == CORRECTED
    assert known[:CORRECTED].count("horse") >= 18
    assert known[CORRECTED:].count("horse") >= 7, "of ten that nobody corrected"
