"""The whole page: a head, a tab for each thing that one can do, and endpoints for programs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chargen.web import api
from chargen.web.generation import Engine
from chargen.web.gradio_setup import gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import ModelStore
from chargen.web.tabs.classify import ClassifyTab
from chargen.web.tabs.inspect import InspectTab
from chargen.web.tabs.train import TrainTab
from chargen.web.tabs.write import WriteTab
from chargen.web.training_job import TrainingJob

_HEAD = (
    '<div class="head"><b>chargen<i>_</i></b><span>a small neural network that learns to write like '
    "any text, one character at a time</span></div>"
)
UPLOAD_SECONDS = 24 * 3600  # after which an uploaded file is deleted
_SWEEP_SECONDS = 3600  # between two searches for such files


class Page(NamedTuple):
    """A page that can be served, and the job that runs its trainings."""

    blocks: gr.Blocks
    job: TrainingJob


def build(checkpoints: Path) -> Page:
    """Builds the page for the models in a folder."""
    store, job = ModelStore(checkpoints), TrainingJob(checkpoints)
    engine = Engine(store)
    inspector = Inspector(store, engine)
    blocks = gr.Blocks(
        title="chargen",
        analytics_enabled=False,
        delete_cache=(_SWEEP_SECONDS, UPLOAD_SECONDS),
        fill_width=False,
    )
    with blocks:
        gr.HTML(_HEAD)
        with gr.Tabs() as tabs:
            with gr.Tab("Write", id="write"):
                write = WriteTab(blocks, engine, inspector)
            with gr.Tab("Train", id="train"):
                TrainTab(blocks, tabs, write.model, job, store)
            with gr.Tab("Classify", id="classify"):
                ClassifyTab(blocks, job, store)
            with gr.Tab("Look inside", id="inside"):
                InspectTab(blocks, inspector)
        api.build(store, engine, inspector, job)
    blocks.queue(max_size=64, default_concurrency_limit=8)
    return Page(blocks, job)
