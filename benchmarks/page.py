"""`python -m benchmarks.page`: how long a visitor of the page waits, in a Chromium of the system.

From the moment the server says that it is ready to the first paint; from the click to the first
character and to the last; and beside that what the page's own code takes for the same text, without
server and browser, and the library alone. Medians; needs Playwright.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks import report
from chargen import TextGenerator
from chargen.generator import STARTER as FOLDER
from chargen.web.generation import Engine, GenerationRequest
from chargen.web.model_store import STARTER, ModelStore

LENGTH = 2000
# Notes when the text on the page first and last changed, by the page's own clock, from the click on.
_WATCH = """
() => {
  const sheet = document.querySelector('#written');
  const text = () => sheet.querySelector('.sheet')?.textContent || '';
  window.seen = {};
  new MutationObserver(() => {
    const now = text(), seen = window.seen;
    if (now === seen.before || now === '') return;
    seen.first ??= performance.now();
    if (now.length >= %d) seen.last ??= performance.now();
  }).observe(sheet, {childList: true, subtree: true, characterData: true});
  document.querySelector('#write').addEventListener('click',
    () => { window.seen = {click: performance.now(), before: text()}; }, true);
}
"""


def measure(times: int) -> dict[str, object]:
    """One row: a page of the starter model, in a folder without any other."""
    writer = TextGenerator.load(FOLDER)
    engine = Engine(ModelStore(Path("no checkpoints")))
    library, handler = [], []
    for seed in range(times + 1):
        began = time.perf_counter()
        writer.generate(length=LENGTH, seed=seed)
        library.append(time.perf_counter() - began)
        began = time.perf_counter()
        for _ in engine.stream(STARTER, "", GenerationRequest(length=LENGTH), seed):
            pass
        handler.append(time.perf_counter() - began)
    command = [sys.executable, "-m", "chargen", "app", "--port", "7864"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as server,
        sync_playwright() as p,
    ):
        chromium = p.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        assert server.stderr
        address = next(m[0] for line in server.stderr if (m := re.search(r"http://\S+", line)))
        page = chromium.new_page()
        page.goto(address)
        page.locator("#write").wait_for()
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.locator("#bars button").first.wait_for()
        page.evaluate(_WATCH % LENGTH)
        page.get_by_label("number input for Length").fill(str(LENGTH))
        first, last = [], []
        for _ in range(times + 1):
            page.locator("#write").click()
            page.wait_for_function("window.seen.last", timeout=30_000)
            seen = page.evaluate("window.seen")
            first.append(seen["first"] - seen["click"])
            last.append(seen["last"] - seen["click"])
            page.wait_for_timeout(500)
        chromium.close()
        server.terminate()
    return {
        "first_paint_ms": paint,
        "first_character_ms": statistics.median(first[1:]),
        f"{LENGTH}_characters_ms": statistics.median(last[1:]),
        "handler_ms": 1000 * statistics.median(handler[1:]),
        "library_ms": 1000 * statistics.median(library[1:]),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=9, help="that a text is written")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report([measure(options.times)], options.json)
