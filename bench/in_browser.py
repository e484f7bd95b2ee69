"""Compares answers given in the browser with the server's, and times both and the page.

    python bench/in_browser.py --model Production --photos ../shared/photos/main13 --number 200

On one machine it starts the app and Chromium, names photos drawn from all folders by the server and
by LiteRT.js in the page, and prints on how many the first species is the same, how far its
probability is apart, and the medians of both times; then the time to the first paint of five loads.
"""

import argparse
import asyncio
import base64
import random
import shutil
import statistics
import sys
import threading
import time
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright

from pipeline.app import server, web_runtime
from pipeline.app.access import Access
from pipeline.app.champion import Champion

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
ASK = """async ([text, name]) => {
  const local = await import(new URL("static/js/local.js", location));
  const api = await import(new URL("static/js/api.js", location));
  const file = new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  const timed = async (work) => {
    const started = performance.now();
    const said = await work();
    return { ...said.answer, ms: performance.now() - started };
  };
  return [await timed(() => api.answer(file, name)), await timed(() => local.answer(file, name))];
}"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="Production")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--port", type=int, default=8199)
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.photos.rglob("*.*") if path.is_file())
    photos = random.Random(0).sample(photos, arguments.number)
    champion = Champion(arguments.model)
    champion.refresh()
    if champion.model is None:
        sys.exit(champion.problem)
    app = server.build(champion, Access(per_second=1e6), runtime=web_runtime.require())
    config = uvicorn.Config(app, port=arguments.port, log_level="warning", access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve()))
    thread.start()
    while not running.started:
        time.sleep(0.05)
    try:
        measure(f"http://127.0.0.1:{arguments.port}/", photos)
    finally:
        running.should_exit = True
        thread.join()


def measure(address: str, photos: list[Path]) -> None:
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        page = browser.new_page()
        page.goto(address)
        page.locator(".dot.on").wait_for(timeout=120_000)
        rows = [
            page.evaluate(ASK, [base64.b64encode(path.read_bytes()).decode(), path.name])
            for path in photos
        ]
        paints = []
        for _ in range(5):
            page = browser.new_context().new_page()
            page.goto(address)
            page.locator(".drop").wait_for()
            paints.append(page.evaluate(PAINT))
        browser.close()
    rows = [row for row in rows if row[0]["error"] is None]
    apart = sorted(abs(a["probability"] - b["probability"]) for a, b in rows)
    same = sum(a["species"] == b["species"] for a, b in rows)
    kinds = sum(a["kind"] == b["kind"] for a, b in rows)
    print(f"{len(rows)} photos: same first species {same}, same kind of answer {kinds}")
    near = sum(one <= 0.02 for one in apart)
    print(
        f"probability apart: median {statistics.median(apart):.4f}, largest {apart[-1]:.4f}, "
        f"within 0.02 on {near}"
    )
    for i, who in enumerate(("server", "browser")):
        times = sorted(row[i]["ms"] for row in rows)
        late = times[len(times) * 95 // 100]
        print(f"{who}: median {statistics.median(times):.0f} ms, 95 % within {late:.0f} ms")
    print(f"first paint: median {statistics.median(paints):.0f} ms, slowest {max(paints):.0f}")


if __name__ == "__main__":
    main()
