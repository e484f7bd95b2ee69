"""Takes the screenshots of README and docs, from a run on the demo collection in this folder.

Chromium is Debian's; Playwright comes with the test tools.

    make run setup-dev && python docs/screenshots.py
"""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
PORT = 8317
PHOTOS = 30
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
            page.goto(Path("reports/index.html").absolute().as_uri())
            save(page, "report.jpg")
            wait_for(app)
            page.goto(f"http://127.0.0.1:{PORT}/")
            page.locator(".dot.on").wait_for()
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Choose photos").click()
            chooser.value.set_files(photos)
            page.locator(".card.known").first.wait_for()
            page.locator(".progress progress").wait_for(state="detached", timeout=60_000)
            page.wait_for_timeout(500)  # the last pictures are drawn
            save(page, "app.jpg")
        finally:
            browser.close()
            app.terminate()
            app.wait()


if __name__ == "__main__":
    main()
