"""`python -m benchmarks.export`: the page in one file, opened from the disk in Chromium.

It has a model of 2 × 256 and 65 characters. Measured are its size and its characters per second; a row
is only printed if the browser has written the text of the library, character by character.
"""

from __future__ import annotations

import argparse
import re
import shutil
import string
import tempfile
from pathlib import Path

from benchmarks import report
from chargen import TextGenerator

CHARACTERS = (string.ascii_letters + string.punctuation)[:63] + " \n"
LENGTH, SEED = 20_000, 7


def measure(hidden: int) -> dict[str, object]:
    """Returns the row of a model of two layers."""
    from playwright.sync_api import expect, sync_playwright

    writer = TextGenerator.new(CHARACTERS, hidden_size=hidden, seed=0)
    page = writer.to_html("benchmark")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        path = Path(folder, "page.html")
        path.write_text(page, encoding="utf-8")
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = p.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        view = chromium.new_page()
        requests: list[str] = []
        view.on("request", lambda request: requests.append(request.url))
        view.goto(path.as_uri())
        view.locator("body[data-ready=true]").wait_for()
        view.fill("#prompt", "The ")
        view.fill("#seed", str(SEED))
        view.locator("#length").evaluate(f"slider => {{ slider.value = {LENGTH}; }}")
        view.click("#write")
        status = view.locator("#status")
        expect(status).to_contain_text("characters with the seed", timeout=300_000)
        rate = re.search(r"([\d,]+) a second", status.inner_text())
        text = view.locator("#written").text_content()
        chromium.close()
    assert text == writer.read("The ", weights="int8").generate(LENGTH, seed=SEED)
    assert rate
    return {
        "shape": f"2x{hidden}",
        "megabytes": len(page.encode()) / 1e6,
        "characters_per_second": float(rate[1].replace(",", "")),
        "requests": sum(not url.startswith(("file:", "blob:", "data:")) for url in requests),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 256, 384])
    arguments = parser.parse_args()
    report([measure(hidden) for hidden in arguments.hidden], arguments.json)


if __name__ == "__main__":
    main()
