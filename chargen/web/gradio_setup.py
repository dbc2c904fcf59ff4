"""Gradio as the page uses it: without telemetry, and with handlers that are not endpoints.

Every module of the page takes `gr` from here, so that the variables below are set before Gradio is
imported, whichever module comes first.
"""

import os
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # huggingface_hub reads it once, when it is imported

import gradio as gr
from gradio.events import api

__all__ = ["LATEST", "QUIET", "UNCHECKED", "api", "gr"]

# Options of a handler: no spinner over its outputs, and no endpoint of its own for programs. Without a
# name of its own, it would take that of its function, such as `write`, from an endpoint of `api`.
QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "api_name": "handler",
}
# Options of a handler that checks its inputs itself. Gradio answers a number that is out of a slider's
# range, and a choice that has left a menu meanwhile, with a message of its own in a corner.
UNCHECKED: dict[str, Any] = {"preprocess": False, **QUIET}
# Options of a handler that follows a visitor's typing: of a burst of changes, the last one counts.
LATEST: dict[str, Any] = {"trigger_mode": "always_last", **UNCHECKED}
