"""The whole page: a head, a tab for each thing that one can do, and endpoints for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from chargen.web import api
from chargen.web.generation import Engine
from chargen.web.gradio_setup import QUIET, Blocks, gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import CLASSIFIER, GENERATOR, ModelStore
from chargen.web.tabs.classify import ClassifyTab
from chargen.web.tabs.inspect import InspectTab
from chargen.web.tabs.train import TrainTab
from chargen.web.tabs.training_status import visitor
from chargen.web.tabs.write import WriteTab
from chargen.web.training_job import TrainingJob

_HEAD = (
    '<div class="head"><h1>chargen<i>_</i></h1><span>a small neural network that learns to write like '
    'any text, one character at a time</span><button type="button" id="presentation" '
    'aria-pressed="false" title="Large letters, the whole width">Presentation</button></div>'
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
    blocks = Blocks(
        title="chargen",
        analytics_enabled=False,
        delete_cache=(_SWEEP_SECONDS, UPLOAD_SECONDS),
        fill_width=False,
    )
    with blocks:
        gr.HTML(_HEAD, elem_id="head")
        timer = gr.Timer(1.0, active=job.status.busy)  # ticks while something is training
        names = gr.State(store.names(GENERATOR))
        with gr.Tabs() as tabs:
            with gr.Tab("Write", id="write") as write_tab:
                write = WriteTab(blocks, engine, inspector)
            with gr.Tab("Train", id="train") as train_tab:
                train = TrainTab(tabs, write.model, job, store, timer)
            with gr.Tab("Classify", id="classify") as classify_tab:
                classify = ClassifyTab(job, store, timer)
            with gr.Tab("Look inside", id="inside") as inspect_tab:
                inside = InspectTab(blocks, inspector)

        def show_training(request: gr.Request) -> list[Any]:
            # One status for both tabs: the tick that ends the ticking must show its end in both.
            status, you = job.status, visitor(request)
            shown = [*train.show(status, you), *classify.show(status, you)]
            return [*shown, gr.Timer(active=status.busy), store.names(GENERATOR)]

        shown = [*train.outputs, *classify.outputs, timer, names]
        for event in (timer.tick, blocks.load, *(tab.select for tab in (train_tab, classify_tab))):
            event(show_training, None, shown, concurrency_limit=4, **QUIET)
        for tab in (write_tab, inspect_tab):
            tab.select(lambda: store.names(GENERATOR), None, names, **QUIET)
        # Whichever tab learns of a new model, all menus list it.
        menus = [write.model, inside.model, inside.compared]
        names.change(lambda names: [gr.update(choices=names)] * 3, names, menus, **QUIET)
        opened = blocks.load(lambda: _newest(store), None, [*menus, classify.model], **QUIET)
        opened.then(**inside.example)
        api.build(store, engine, inspector, job)
    blocks.max_threads = 128  # more than all long calls that may run at a time, for the short ones
    blocks.queue(max_size=None, default_concurrency_limit=8)  # the gate limits each handler's queue
    return Page(blocks, job)


def _newest(store: ModelStore) -> list[Any]:
    """Returns the menus of a page that was just opened, each with the newest model."""
    names, classifiers = store.names(GENERATOR), store.names(CLASSIFIER)
    update = gr.update(choices=names, value=names[0])
    compared = gr.update(choices=names, value=names[:1])
    return [
        update,
        update,
        compared,
        gr.update(choices=classifiers, value=next(iter(classifiers), None)),
    ]
