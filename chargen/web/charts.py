"""Curves and tables in SVG and HTML, in the colours of the theme; each text in them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

from chargen.rendering.colouring import escape_html as escaped
from chargen.web.html import note

_LISTED_DISTANCES = {1, 2, 3, 5, 10, 20, 30, 50, 75, 100, 150}  # characters, in a table
_TABLE_ROWS = 20  # of losses, where nothing was evaluated yet
_SCROLLED = 'tabindex="0" role="group" aria-label="Texts by their true and predicted classes"'


def decay_curves(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> str:
    """Renders curves of (distance in characters, value), one a name, on a logarithmic scale."""
    width, height, left, right, top, bottom = 720, 320, 52, 118, 28, 34
    values = [value for curve in curves.values() for _, value in curve if value > 0]
    highest = ceil(log10(max(values, default=1)))
    lowest = max(floor(log10(min(values, default=0.1))), highest - 12)
    end = max((distance for curve in curves.values() for distance, _ in curve), default=1)

    def x(distance: float) -> float:
        return left + (width - left - right) * distance / end

    def y(value: float) -> float:
        share = (highest - log10(max(value, 10.0**lowest))) / (highest - lowest)
        return top + (height - top - bottom) * share

    parts = [
        f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(10.0**power):.1f}" '
        f'y2="{y(10.0**power):.1f}"/><text x="{left - 8}" y="{y(10.0**power) + 4:.1f}" '
        f'text-anchor="end">{10.0**power:g}</text>'
        for power in range(lowest, highest + 1, max(1, (highest - lowest) // 6))
    ]
    for number, (name, curve) in enumerate(curves.items()):
        positive = [(distance, value) for distance, value in curve if value > 10.0**lowest]
        line = " ".join(f"{x(distance):.1f},{y(value):.1f}" for distance, value in positive)
        parts.append(f'<polyline class="series s{number}" points="{line}"/>')
        if positive:
            parts.append(
                f'<text class="tag s{number}" x="{x(positive[-1][0]) + 8:.1f}" '
                f'y="{y(positive[-1][1]) + 4:.1f}">{escaped(name)}</text>'
            )
    parts.append(
        f'<text x="{left}" y="16">{escaped(title)}</text>'
        f'<text x="{width - right}" y="{height - 12}" text-anchor="end">{end:g} characters back</text>'
    )
    rows = []
    for distance in sorted({distance for curve in curves.values() for distance, _ in curve}):
        if distance in _LISTED_DISTANCES:
            values_there = [dict(curve).get(distance) for curve in curves.values()]
            cells = "".join(f"<td>{'' if v is None else f'{v:.3g}'}</td>" for v in values_there)
            rows.append(f'<tr><th scope="row">{distance:g}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in curves)
    return (
        f'<svg class="figure" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escaped(title)}; a table of the values follows">{"".join(parts)}</svg>'
        f'<div class="unseen"><table><caption>{escaped(title)}</caption>'
        f'<tr><th scope="col">characters back</th>{head}</tr>{"".join(rows)}</table></div>'
    )


def confusion_matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Renders the counts (C, C) of texts: a row for each true class, a column for each predicted."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in classes)
    rows = []
    for true, row in zip(classes, counts, strict=True):
        total = max(1, sum(row))
        cells = [
            f'<td class="{"right" if predicted == true else "wrong"}" '
            f'style="--share:{count / total:.2f}" '
            f'title="{escaped(true)}, classified as {escaped(predicted)}">{count or ""}</td>'
            for predicted, count in zip(classes, row, strict=True)
        ]
        rows.append(f'<tr><th scope="row">{escaped(true)}</th>{"".join(cells)}</tr>')
    return (
        f"{note('Each row is a true class, each column a predicted one.')}"
        f'<div class="scroll" {_SCROLLED}><table class="matrix">'
        f'<tr><td class="corner"></td>{head}</tr>{"".join(rows)}</table></div>'
    )


def training_curves(
    losses: Sequence[tuple[float, float]],
    scores: Sequence[tuple[float, float]],
    baselines: Mapping[str, float],
    unit: str,
    names: tuple[str, str],
    *,
    highest: float | None = None,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Renders two curves of (seconds, value), called `names`, and the baselines as dashed lines.

    The axis ends at `highest`, where the values have a limit. Each of `marks` is a moment (seconds)
    and what happened then. A table of the values follows, for screen readers.
    """
    width, height, left, right, top, bottom = 720, 300, 52, 190, 16, 34
    # The first losses are far above all others and would flatten the curves.
    values = [value for _, value in (*losses[len(losses) // 20 :], *scores)]
    nearby = [value for value in baselines.values() if not values or value < 1.6 * max(values)]
    low, high = min([*values, *nearby], default=0), max([*values, *nearby], default=1)
    step = _round_step((high - low) or 1)
    low, high = step * floor(low / step), step * ceil(high / step + 1e-9)
    if highest is not None:
        high = min(high, highest)
    end = max([seconds for seconds, _ in (*losses, *scores)], default=1) or 1

    def x(seconds: float) -> float:
        return left + (width - left - right) * seconds / end

    def y(value: float) -> float:
        return top + (height - top - bottom) * (high - value) / (high - low)

    parts = []
    for k in range(floor((high - low) / step + 1e-9) + 1):
        value = low + k * step
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{value:g}</text>"
        )
    for seconds, what in marks:
        parts.append(
            f'<line class="mark" x1="{x(seconds):.1f}" x2="{x(seconds):.1f}" y1="{top}" '
            f'y2="{height - bottom}"/><text class="mark" x="{x(seconds) + 5:.1f}" y="{top + 12}">'
            f"{escaped(what)}</text>"
        )
    tags: list[tuple[float, str, str]] = []
    for name, value in baselines.items():
        if low <= value <= high:
            parts.append(
                f'<line class="base" x1="{left}" x2="{width - right}" y1="{y(value):.1f}" '
                f'y2="{y(value):.1f}"/>'
            )
            tags.append((y(value), name, ""))
    for points, kind, name in ((losses, "first", names[0]), (scores, "second", names[1])):
        clamped = [(seconds, min(value, high)) for seconds, value in points]
        if clamped:
            line = " ".join(f"{x(seconds):.1f},{y(value):.1f}" for seconds, value in clamped)
            parts.append(f'<polyline class="{kind}" points="{line}"/>')
            tags.append((y(clamped[-1][1]), name, f"tag-{kind}"))
    parts += [f'<circle cx="{x(s):.1f}" cy="{y(value):.1f}" r="3"/>' for s, value in scores]
    parts += [
        f'<text class="{kind}" x="{width - right + 8}" y="{tag_y + 4:.1f}">{escaped(name)}</text>'
        for tag_y, name, kind in _spread(tags)
    ]
    minutes = f"{end / 60:.1f} minutes" if end > 90 else f"{end:.0f} seconds"
    parts.append(
        f'<text x="{width - right}" y="{height - 12}" text-anchor="end">{minutes}</text>'
        f'<text x="{left}" y="{height - 12}">{escaped(unit)}</text>'
    )
    return (
        f'<svg class="figure" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escaped(unit)} over time; a table of the values follows">{"".join(parts)}</svg>'
        f"{_table(losses, scores, baselines, unit, names, marks)}"
    )


def _table(
    losses: Sequence[tuple[float, float]],
    scores: Sequence[tuple[float, float]],
    baselines: Mapping[str, float],
    unit: str,
    names: tuple[str, str],
    marks: Sequence[tuple[float, str]],
) -> str:
    """Renders what `training_curves` draws as a table that only screen readers show."""
    columns = [name for name, points in zip(names, (losses, scores), strict=True) if points]
    rows = []
    for seconds, value in scores or losses[:: max(1, len(losses) // _TABLE_ROWS)]:
        before = [loss for time, loss in losses if time <= seconds]
        values = [before[-1] if before else None] * bool(losses) + [value] * bool(scores)
        cells = "".join(f"<td>{'' if v is None else f'{v:.3g}'}</td>" for v in values)
        rows.append(f'<tr><th scope="row">{seconds:.0f}</th>{cells}</tr>')
    notes = [f"{name}: {value:.3g}" for name, value in baselines.items()]
    notes += [f"at {seconds:.0f} seconds: {what}" for seconds, what in marks]
    caption = "; ".join([f"{unit} by seconds of training", *notes])
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in columns)
    return (
        f'<div class="unseen"><table><caption>{escaped(caption)}</caption>'
        f'<tr><th scope="col">seconds</th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _spread(tags: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Moves labels (y, name, class) down until none overlaps another."""
    placed: list[tuple[float, str, str]] = []
    for y, name, kind in sorted(tags):
        above = placed[-1][0] if placed else -100
        placed.append((max(y, above + 15), name, kind))
    return placed


def _round_step(span: float) -> float:
    """Returns a step of 1, 2 or 5 times a power of ten that cuts a span into about four parts."""
    rough = span / 4
    power = 10.0 ** floor(log10(rough))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))
