"""What was found inside of a model as PNG, SVG or PDF, by matplotlib (the extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chargen.errors import ChargenError, writing
from chargen.inspection.gradients import GradientReach
from chargen.inspection.states import Array, Layers
from chargen.rendering.colouring import PICTURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACCENT, _SECOND, _INK = "#0f766e", "#b45309", "#1f2328"
_COLOURS = (_SECOND, "#6d28d9", _ACCENT, "#1d4ed8", "#be185d", "#4d7c0f")
_MOST_LETTERS = 160  # on an axis, so that they can be read


def reaches(path: str, found: Mapping[str, GradientReach]) -> None:
    """The gradient, and what the past changes, by distance, on logarithmic axes.

    Raises ChargenError where matplotlib is not there, or the file cannot be written.
    """
    figure = _figure(11, 4.6)
    left, right = figure.subplots(1, 2)
    for (name, reach), colour in zip(found.items(), _COLOURS * len(found), strict=False):
        seen = reach.gradient > 0
        distances = np.arange(1, len(reach.gradient) + 1)
        left.semilogy(distances[seen], reach.gradient[seen], color=colour, label=name, linewidth=2)
        changed = reach.change > 0
        right.loglog(
            np.array(reach.distances)[changed], reach.change[changed], "o-", color=colour, label=name
        )
    left.set(title="How far back it can learn from", ylabel="norm of the gradient")
    right.set(title="How far back it remembers", ylabel="change of the prediction, bits")
    for axes in (left, right):
        axes.set_xlabel("characters back")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-12))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    _save(figure, path)


def component(
    path: str, pieces: Sequence[str], layer: Mapping[str, Array], kind: str, place: int
) -> None:
    """One component along a text, with the gates that move it."""
    figure = _figure(max(6.0, min(30.0, 0.13 * len(pieces))), 4.2)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    times = np.arange(len(pieces))
    top.axhline(0, color=_INK, linewidth=0.5)
    top.fill_between(times, layer[kind][:, place], step="mid", color=_ACCENT, alpha=0.35)
    top.step(times, layer[kind][:, place], where="mid", color=_ACCENT)
    top.set(ylabel=f"{kind} {place}")
    for name, colour in zip(("input", "forget", "output", "reset", "update"), _COLOURS, strict=False):
        if name in layer:
            below.step(times, layer[name][:, place], where="mid", color=colour, label=name)
    below.set(ylabel="gates", ylim=(-0.05, 1.05))
    if below.get_legend_handles_labels()[0]:
        below.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    _letters(below, pieces)
    _save(figure, path)


def heat(path: str, pieces: Sequence[str], layers: Layers, kind: str) -> None:
    """All components of all layers along a text: a column for a character, a row for a component."""
    figure = _figure(max(6.0, min(30.0, 0.13 * len(pieces))), 3.2 * len(layers) + 0.6)
    for number, (axes, layer) in enumerate(
        zip(figure.subplots(len(layers), 1, squeeze=False)[:, 0], layers, strict=True), start=1
    ):
        signed = kind in ("cell", "hidden", "candidate")
        values = np.tanh(layer[kind]) if kind == "cell" else layer[kind]
        picture = axes.imshow(
            values.T,
            aspect="auto",
            interpolation="nearest",
            cmap="BrBG" if signed else "viridis",
            vmin=-1 if signed else 0,
            vmax=1,
        )
        axes.set(ylabel=f"layer {number}: {'tanh of cell' if kind == 'cell' else kind}")
        figure.colorbar(picture, ax=axes, fraction=0.02, pad=0.01)
        _letters(axes, pieces)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ChargenError(
            "pictures need matplotlib; install it with: pip install 'chargen[plots]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")  # no window, no global state


def _letters(axes: Any, pieces: Sequence[str]) -> None:
    if len(pieces) > _MOST_LETTERS:
        axes.set_xlabel("characters")
        return
    shown = [{"\n": "↵", "\t": "⇥", " ": "·", "": "■"}.get(p, p.translate(PICTURES)) for p in pieces]
    shown = [piece.replace("$", r"\$") for piece in shown]  # no formulas
    axes.set_xticks(range(len(pieces)), shown, family="monospace", fontsize=8)
    axes.tick_params(axis="x", length=0)


def _save(figure: Figure, path: str) -> None:
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise ChargenError(f"{path!r} is no picture: name a file that ends in .png, .svg or .pdf")
    with writing(Path(path)):
        figure.savefig(path, format=kind, dpi=160)
