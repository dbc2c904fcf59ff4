"""What a training is doing, in HTML."""

from __future__ import annotations

from chargen.web import html as drawing
from chargen.web.training_job import (
    JobStatus,
)


def status(view: JobStatus, heads: dict[str, str], pairs: list[tuple[str, str]]) -> str:
    """What a training is doing: a sentence for its state, its figures, how far it is, what it said."""
    common = {
        "training": f"“{view.name}” is learning.",
        "stopped": f"“{view.name}” was stopped; the best so far is kept.",
        "failed": f"“{view.name}” could not be trained: {view.message}",
    }
    parts = [drawing.note((common | heads)[view.state], bad=view.state == "failed")]
    if view.step:
        times = [("time", clock_of(view.seconds))]
        if view.busy:
            times.append(("left", clock_of(view.left)))
        parts.append(drawing.facts([("step", f"{view.step:,}"), *times, *pairs]))
        parts.append(drawing.progress(view.progress))
    if view.model:
        parts.append(drawing.note(view.model))
    return "".join([*parts, *map(drawing.note, view.notes[-3:])])


def clock_of(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}"
