"""The web page, where Gradio's own tools and Hugging Face Spaces look for it."""

import os
import threading
from pathlib import Path

from chargen.web.page import build
from chargen.web.server import serve

page = build(Path("checkpoints"))
demo = page.blocks

if __name__ == "__main__":
    # A Space has a public address, and its visitors do not log in.
    space = {"host": "0.0.0.0", "port": 7860, "open_to_all": True} if "SPACE_ID" in os.environ else {}
    print("the page is at", serve(page, **space))
    threading.Event().wait()
