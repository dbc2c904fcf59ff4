"""The web page, where Gradio's own tools and Hugging Face Spaces look for it."""

import os
import threading
from pathlib import Path

from chargen.web.page import build
from chargen.web.server import serve

page = build(Path("checkpoints"))
demo = page.blocks

if __name__ == "__main__":
    space = {}
    if "SPACE_ID" in os.environ:
        # A Space has a public address, its visitors do not log in, and huggingface.co frames it.
        space = {"host": "0.0.0.0", "port": 7860, "open_to_all": True}
        space["root_path"] = f"https://{os.environ['SPACE_HOST']}"
        space["framed_by"] = "https://huggingface.co"
    print("the page is at", serve(page, **space))
    threading.Event().wait()
