"""The status of a training in HTML, as both tabs that train show it."""

from __future__ import annotations

from chargen.web import html
from chargen.web.training_job import JobStatus


def status_html(status: JobStatus, sentences: dict[str, str], figures: list[tuple[str, str]]) -> str:
    """Renders a sentence for the state, `figures` as (name, value), the progress and the last notes.

    `sentences` has the states, except for idle, that a tab words in its own way.
    """
    common = {
        "training": f"“{status.name}” is training.",
        "stopped": f"“{status.name}” was stopped. Its best version so far is saved.",
        "failed": f"“{status.name}” could not be trained: {status.message}",
    }
    parts = [html.note((common | sentences)[status.state], bad=status.state == "failed")]
    if status.step:
        times = [("time", minutes_and_seconds(status.seconds))]
        if status.busy:
            times.append(("left", minutes_and_seconds(status.seconds_left)))
        parts.append(html.facts([("step", f"{status.step:,}"), *times, *figures]))
        parts.append(html.progress_bar(status.progress))
    if status.model:
        parts.append(html.details(status.model))
    return "".join([*parts, *map(html.note, status.notes[-3:])])


def minutes_and_seconds(seconds: float) -> str:
    """Returns a time as minutes and seconds."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}"
