"""Plots of measurements as PNG, SVG or PDF; they need matplotlib, the extra `plots`."""

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
_MOST_LETTERS = 160  # labels on an axis; more would not be legible


def plot_gradients(path: str, models: Mapping[str, GradientReach]) -> None:
    """Plots gradient and memory of each model by distance, on logarithmic axes.

    Raises ChargenError where matplotlib is missing or the file cannot be written.
    """
    figure = _figure(11, 4.6)
    left, right = figure.subplots(1, 2)
    for (name, measured), colour in zip(models.items(), _COLOURS * len(models), strict=False):
        positive = measured.gradient > 0  # a logarithmic axis has no 0
        distances = np.arange(1, len(measured.gradient) + 1)
        left.semilogy(
            distances[positive], measured.gradient[positive], color=colour, label=name, linewidth=2
        )
        changed = measured.change > 0
        right.loglog(
            np.array(measured.distances)[changed],
            measured.change[changed],
            "o-",
            color=colour,
            label=name,
        )
    left.set(title="How far back it can learn from", ylabel="norm of the gradient")
    right.set(title="How far back it remembers", ylabel="change of the prediction, bits")
    for axes in (left, right):
        axes.set_xlabel("characters back")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-12))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    _save(figure, path)


def plot_component(
    path: str, pieces: Sequence[str], layer: Mapping[str, Array], kind: str, index: int
) -> None:
    """Plots one component along the `pieces` (T) of a text, and the gates that update it.

    `layer` holds the states and gates (T, H) of its layer. Raises as `plot_gradients` does.
    """
    figure = _figure(max(6.0, min(30.0, 0.13 * len(pieces))), 4.2)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    times = np.arange(len(pieces))
    top.axhline(0, color=_INK, linewidth=0.5)
    top.fill_between(times, layer[kind][:, index], step="mid", color=_ACCENT, alpha=0.35)
    top.step(times, layer[kind][:, index], where="mid", color=_ACCENT)
    top.set(ylabel=f"{kind} {index}")
    for name, colour in zip(("input", "forget", "output", "reset", "update"), _COLOURS, strict=False):
        if name in layer:
            below.step(times, layer[name][:, index], where="mid", color=colour, label=name)
    below.set(ylabel="gates", ylim=(-0.05, 1.05))
    if below.get_legend_handles_labels()[0]:
        below.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    _letters(below, pieces)
    _save(figure, path)


def plot_heatmap(path: str, pieces: Sequence[str], layers: Layers, kind: str) -> None:
    """Plots all components of `layers` along the `pieces` of a text: a column per piece.

    Raises as `plot_gradients` does.
    """
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
            "pictures need matplotlib", "install it with: pip install 'chargen[plots]'"
        ) from error
    # Without pyplot: it would open windows and keep every figure.
    return Figure(figsize=(width, height), layout="constrained")


def _letters(axes: Any, pieces: Sequence[str]) -> None:
    if len(pieces) > _MOST_LETTERS:
        axes.set_xlabel("characters")
        return
    shown = [{"\n": "↵", "\t": "⇥", " ": "·", "": "■"}.get(p, p.translate(PICTURES)) for p in pieces]
    shown = [piece.replace("$", r"\$") for piece in shown]  # a dollar sign begins a formula
    axes.set_xticks(range(len(pieces)), shown, family="monospace", fontsize=8)
    axes.tick_params(axis="x", length=0)


def _save(figure: Figure, path: str) -> None:
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise ChargenError(
            f"{path!r} is not the name of a picture", "name a file that ends in .png, .svg or .pdf"
        )
    with writing(Path(path)):
        figure.savefig(path, format=kind, dpi=160)
