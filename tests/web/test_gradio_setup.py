"""Telemetry is off, whichever module of the page is imported first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import chargen.web

CHECK = """
import importlib, sys
importlib.import_module(sys.argv[1])
import gradio.analytics, huggingface_hub.constants
assert not gradio.analytics.analytics_enabled()
assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
"""


def test_only_the_setup_imports_gradio():
    for path in Path(chargen.web.__path__[0]).rglob("*.py"):
        lines = path.read_text("utf-8").splitlines()
        direct = [line for line in lines if line.startswith(("import gradio", "from gradio"))]
        assert bool(direct) == (path.stem == "gradio_setup"), path


@pytest.mark.slow
@pytest.mark.parametrize("module", ["page", "tabs.write"])
def test_no_telemetry_is_left_on(module):
    environment = {k: v for k, v in os.environ.items() if "TELEMETRY" not in k and "GRADIO" not in k}
    command = [sys.executable, "-c", CHECK, f"chargen.web.{module}"]
    subprocess.run(command, env=environment, check=True, timeout=120)
