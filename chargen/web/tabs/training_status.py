"""The status of a training as both tabs show it, and the buttons that stop it or go on with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chargen.errors import ChargenError
from chargen.runs.unfinished import Unfinished
from chargen.web import html
from chargen.web.gradio_setup import QUIET, UNCHECKED, gr
from chargen.web.training_job import JobStatus, Starter, TrainingJob


def visitor(request: gr.Request) -> Starter:
    """Returns who has sent a request."""
    client = getattr(request, "client", None)
    return Starter(str(request.username or ""), str(client.host if client else ""))


def status_html(
    status: JobStatus, you: Starter, sentences: dict[str, str], figures: list[tuple[str, str]]
) -> str:
    """Renders a sentence for the state, `figures` as (name, value), the progress and the last notes.

    `sentences` has the states, except for idle, that a tab words in its own way.
    """
    stopped = (
        "Its best version so far is saved." if status.saved else "It had not learned anything yet."
    )
    common = {
        "training": f"“{status.name}” is training, {status.starter.seen_by(you)}.",
        "stopped": f"“{status.name}” was stopped. {stopped}",
        "failed": f"“{status.name}” could not be trained: {status.message}",
    }
    parts = [html.note((common | sentences)[status.state], bad=status.state == "failed")]
    if status.step:
        times = [("time", minutes_and_seconds(status.seconds))]
        if status.busy and status.progress:
            times.append(("left", minutes_and_seconds(status.seconds_left)))
        parts.append(html.facts([("step", f"{status.step:,}"), *times, *figures]))
        parts.append(html.progress_bar(status.progress))
    if status.summary:
        parts.append(html.note(f"{status.summary}."))
    return "".join([*parts, *map(html.note, status.notes[-3:])])


def start_label(status: JobStatus) -> Any:
    """Returns the button that starts a training, which says what it waits for."""
    if status.busy:
        return gr.update(value=f"Waiting: “{status.name}” is training", interactive=False)
    return gr.update(value="Train", interactive=True)


def minutes_and_seconds(seconds: float) -> str:
    """Returns a time as minutes and seconds."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}"


class StopButton:
    """A button that stops the training once a visitor has confirmed it."""

    def __init__(self, elem_id: str) -> None:
        """Lays the button out in the block that is open."""
        with gr.Column(visible=False) as self._all:
            with gr.Row(elem_classes="buttons"):
                self._button = gr.Button("Stop", variant="stop", elem_id=elem_id)
            with gr.Column(visible=False, elem_classes="question") as self._question:
                self._text = gr.HTML()
                with gr.Row(elem_classes="buttons"):
                    self._yes = gr.Button(
                        "Stop and keep the best version", variant="stop", elem_id=f"{elem_id}-yes"
                    )
                    self._no = gr.Button("Go on training", elem_id=f"{elem_id}-no")
        self.outputs = [self._all, self._button, self._question]

    def connect(self, job: TrainingJob, stop: Callable[..., Any], outputs: list[Any]) -> None:
        """Lets the first click ask, and the second one `stop` the training."""
        asking = [self._button, self._question, self._text]

        def ask(request: gr.Request) -> list[Any]:
            begun = job.status.starter.seen_by(visitor(request))
            text = f"Stop “{job.status.name}”, {begun}? Its best version so far is kept."
            return [gr.update(visible=False), gr.update(visible=True), html.note(text)]

        def go_on() -> list[Any]:
            return [gr.update(visible=True), gr.update(visible=False), ""]

        self._button.click(ask, None, asking, **QUIET)
        self._no.click(go_on, None, asking, **QUIET)
        self._yes.click(stop, None, outputs, **QUIET)

    def show(self, visible: bool) -> list[Any]:
        """Returns the values of `outputs`; a question stays while the training goes on."""
        inside = (
            [gr.update(), gr.update()]
            if visible
            else [gr.update(visible=True), gr.update(visible=False)]
        )
        return [gr.update(visible=visible), *inside]


class UnfinishedMenu:
    """A menu of the trainings of a kind that were not finished, and the button to go on with one."""

    def __init__(self, job: TrainingJob, kind: str, suffix: str = "") -> None:
        """Lays both out in the block that is open; `suffix` ends their names in the page."""
        self._job, self._kind = job, kind
        with gr.Row(
            visible=False, equal_height=False, elem_id=f"resuming{suffix}", elem_classes="resuming"
        ) as self._all:
            self._menu = gr.Dropdown(
                [],
                label="Unfinished trainings",
                info="Stopped, failed, or left when the page was shut down.",
                scale=3,
                elem_id=f"unfinished{suffix}",
            )
            self._button = gr.Button("Go on", elem_id=f"resume{suffix}", min_width=120)
        self.outputs = [self._all, self._menu]

    def connect(self, shown: Callable[[gr.Request], list[Any]], outputs: list[Any]) -> None:
        """Lets the button go on with the training that is chosen, or say why not.

        The first of `outputs` gets the reason, the others what is `shown` to the visitor.
        """

        def resume(name: str | None, request: gr.Request) -> list[Any]:
            refusal = ""
            try:
                self._job.resume(str(name), visitor(request))
            except ChargenError as error:
                refusal = html.error_note(error)
            return [refusal, *shown(request)]

        self._button.click(resume, self._menu, outputs, **UNCHECKED)

    def offered(self, status: JobStatus) -> list[Unfinished]:
        """Returns the trainings that can go on now: none while something is training."""
        return [] if status.busy else self._job.unfinished(self._kind)

    def show(self, status: JobStatus, unfinished: list[Unfinished]) -> list[Any]:
        """Returns the values of `outputs` for trainings that are `offered`."""
        names = [training.folder.name for training in unfinished]
        choice = status.name if status.name in names else next(iter(names), None)
        choices = [
            (f"{training.folder.name}: {training.progress}", training.folder.name)
            for training in unfinished
        ]
        return [
            gr.update(visible=bool(unfinished)),
            gr.update(choices=choices, value=choice),
        ]
