"""Gradio as the page uses it: without telemetry, and with handlers that are not endpoints.

Every module of the page takes `gr` from here, so that the variables below are set before Gradio is
imported, whichever module comes first.
"""

import os
import warnings
from typing import Any

from chargen.web.log import report
from chargen.web.upload_folder import FOLDER

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # huggingface_hub reads it once, when it is imported
os.environ["GRADIO_TEMP_DIR"] = str(FOLDER)
# After this many calls Gradio sums them up for a page that is off; it would do so after each.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"

import gradio as gr
from gradio.components.api_component import Api
from gradio.events import api
from gradio.server_messages import ProcessCompletedMessage

__all__ = ["LATEST", "QUIET", "UNCHECKED", "Api", "Blocks", "ProcessCompletedMessage", "api", "gr"]

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

_SHOWN = 300  # characters of a message of Gradio's, which may quote all that a visitor sent
warnings.filterwarnings("ignore", "The value passed into gr.Dropdown")  # so does this one


class Blocks(gr.Blocks):
    """Blocks that answer a call in a sentence whatever it holds, and log one line for a defect."""

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        """Converts the arguments of a call; those that cannot be converted are the caller's fault."""
        try:
            return await super().preprocess_data(*args, **kwargs)
        except Exception as error:
            message = error.message if isinstance(error, gr.Error) else "these arguments do not fit"
            raise gr.Error(str(message)[:_SHOWN], print_exception=False) from error

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """Runs one step of a call; an exception of the handler is a defect of the page."""
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            report(kwargs["block_fn"].name, error)
            message = "something went wrong here; the log of the server has more"
            raise gr.Error(message, print_exception=False) from error
