"""The web page: a tab per file, each a thin door on the library."""

import os

# Before Gradio is imported: the page tells nobody that it is there.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
