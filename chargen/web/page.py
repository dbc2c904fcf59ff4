"""The page as a whole: a head, a tab for each thing that one can do, and endpoints for programs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chargen.web import api
from chargen.web.generation import Writers
from chargen.web.gradio_setup import gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import ModelStore
from chargen.web.tabs import classify, train, write
from chargen.web.tabs import inspect as inside
from chargen.web.training_job import TrainingJob

_HEAD = (
    '<div class="head"><b>chargen<i>_</i></b>'
    "<span>a small network that learns to write like any text, one character at a time</span></div>"
)
KEPT_SECONDS = 24 * 3600  # that an uploaded file stays on the disk


class Page(NamedTuple):
    """What can be served, and the room that its trainings are done in."""

    blocks: gr.Blocks
    job: TrainingJob


def build(checkpoints: Path) -> Page:
    """The page over the models in a folder."""
    store, job = ModelStore(checkpoints), TrainingJob(checkpoints)
    writers = Writers(store)
    inspector = Inspector(store, writers)
    blocks = gr.Blocks(
        title="chargen", analytics_enabled=False, delete_cache=(3600, KEPT_SECONDS), fill_width=False
    )
    with blocks:
        gr.HTML(_HEAD)
        with gr.Tabs() as tabs:
            with gr.Tab("Write", id="write"):
                menu = write.build(blocks, writers, inspector)
            with gr.Tab("Train", id="train"):
                train.build(blocks, tabs, menu, job, store)
            with gr.Tab("Classify", id="classify"):
                classify.build(blocks, job, store)
            with gr.Tab("Look inside", id="inside"):
                inside.build(blocks, inspector)
        api.build(store, writers, inspector, job)
    blocks.queue(max_size=64, default_concurrency_limit=8)
    return Page(blocks, job)
