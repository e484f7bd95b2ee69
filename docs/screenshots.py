"""Takes the screenshots and the animation of README and docs, from a run on the demo collection.

Chromium is Debian's; Playwright comes with the test tools.

    make run setup-dev && python docs/screenshots.py    # in the folder of the run
"""

import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
PORT = 8317
PHOTOS = 30
SECONDS = 120  # the longest time until something is on the page
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


def photos_of_the_test_split(folder: Path) -> list[Path]:
    """Copies test photos into a folder, by names that do not say what they show."""
    tested = pd.read_csv("reports/predictions.csv").sample(PHOTOS, random_state=1)
    files = []
    for number, path in enumerate(tested["path"]):
        files.append(folder / f"IMG_{100 + number:04d}.jpg")
        shutil.copyfile(Path("data/ingested/files") / path, files[-1])
    return files


def wait_for(app: subprocess.Popen) -> None:
    """Waits until the page is served."""
    while app.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
            return
        time.sleep(0.2)
    sys.exit("error: `animal app` ended")


def save(page: Page, name: str) -> None:
    """Takes a screenshot of what is in sight."""
    page.screenshot(path=DOCS / name, type="jpeg", quality=85)
    print(DOCS / name)


class Animation:
    """Pictures of the page, each shown for some time."""

    def __init__(self, page: Page):
        self._page, self._pictures, self._times = page, [], []

    def show(self, seconds: float) -> None:
        """Takes what is in sight, to be shown for so long."""
        self._page.wait_for_timeout(300)  # what is on its way is drawn
        self._pictures.append(Image.open(io.BytesIO(self._page.screenshot())))
        self._times.append(round(1000 * seconds))

    def save(self, name: str) -> None:
        """Writes the animation."""
        first, *others = self._pictures
        options = {"save_all": True, "append_images": others, "loop": 0, "quality": 60, "method": 6}
        first.save(DOCS / name, duration=self._times, **options)
        print(DOCS / name)


def choose(page: Page, photos: list[Path]) -> None:
    """Adds photos to the page, and waits until they are named."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose photos").click()
    chooser.value.set_files(photos)
    page.locator(".card.known").first.wait_for()
    page.locator(".progress progress").wait_for(state="detached")
    page.wait_for_timeout(500)  # the last pictures are drawn


def animate(page: Page, address: str, photos: list[Path]) -> None:
    """Shows one who names photos, asks where it looked, corrects, and looks at Review and Train."""
    animation = Animation(page)
    page.goto(address)
    page.locator(".dot.on").wait_for()
    animation.show(1.5)
    choose(page, photos)
    animation.show(2.5)
    page.get_by_label("Order").select_option("unsure")
    page.locator(".card.unsure, .card.known").first.click()
    animation.show(2)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Show where it looked").click()
    dialog.locator("img.heat").wait_for()
    animation.show(2.5)
    dialog.locator(".candidate").first.click()
    dialog.get_by_text("Kept:").wait_for()
    animation.show(2)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Review").click()
    page.locator(".review .card").nth(1).click(position={"x": 5, "y": 5})
    animation.show(2.5)
    page.get_by_role("link", name="Train").click()
    page.locator(".collection-summary").wait_for()
    page.locator(".versions").wait_for()
    animation.show(3)
    animation.save("app.webp")


def main() -> None:
    """Takes all of them."""
    if not Path("reports/index.html").exists():
        sys.exit("error: there is no run in this folder; `make run` first")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        photos = photos_of_the_test_split(Path(folder))
        feedback = Path(folder) / "feedback"
        command = ["animal", "app", "--port", str(PORT), "--feedback", str(feedback)]
        app = subprocess.Popen(command)
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        try:
            page = browser.new_page(viewport={"width": 1200, "height": 800}, locale="en-GB")
            page.set_default_timeout(SECONDS * 1000)
            page.goto(Path("reports/index.html").absolute().as_uri())
            save(page, "report.jpg")
            wait_for(app)
            address = f"http://127.0.0.1:{PORT}/"
            page.goto(address)
            page.locator(".dot.on").wait_for()
            choose(page, photos)
            save(page, "app.jpg")
            page = browser.new_page(viewport={"width": 1000, "height": 720}, locale="en-GB")
            page.set_default_timeout(SECONDS * 1000)
            page.add_init_script("localStorage.setItem('animal.name', 'Anna')")
            animate(page, address, photos)
        finally:
            browser.close()
            app.terminate()
            app.wait()


if __name__ == "__main__":
    main()
