"""Values as HTML and SVG, coloured by the theme: texts, bars, curves, tables. Nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10

from chargen.inspection.components import ComponentCorrelation
from chargen.rendering import colouring
from chargen.rendering.colouring import Glyph
from chargen.rendering.colouring import escape_html as text

MOST_BARS, LEAST = 12, 0.0005
_BYTES = re.compile(r"(<[0-9A-F]{2}>)+")  # as `Mark.expected` names what is no whole character
# What puts a click on one of `bars` or `followers` before Gradio.
CLICKED = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-text]');
  if (button && !button.disabled) trigger('select', {text: button.dataset.text});
});
"""


def named(character: str) -> str:
    """One character, so that it can be seen."""
    return colouring.visible(character).split()[0] if not character.strip() else character


def sheet(given: str, new: str = "", *, writing: bool = False, small: bool = False) -> str:
    """What was given, and what was written behind it."""
    caret = '<span class="caret"></span>' if writing else ""
    shape = "sheet small" if small else "sheet"
    return (
        f'<pre class="{shape}" tabindex="0"><span class="given">{text(given)}</span>'
        f"<span>{text(new)}</span>{caret}</pre>"
    )


def blank(hint: str) -> str:
    """A sheet that is still empty, and what will make it full."""
    return f'<pre class="sheet"><span class="empty">{text(hint)}</span></pre>'


def sheets(titles: Sequence[str], given: str, new: Sequence[str], *, writing: bool = False) -> str:
    """Several texts side by side."""
    cells = [
        f"<div><h4>{text(title)}</h4>{sheet(given, one, writing=writing)}</div>"
        for title, one in zip(titles, new, strict=True)
    ]
    return f'<div class="sheets">{"".join(cells)}</div>'


def note(message: str, *, bad: bool = False) -> str:
    """A line of small print."""
    return f'<div class="note{" bad" if bad else ""}" role="status">{text(message)}</div>'


def bars(chances: Mapping[str, float], title: str, *, clickable: bool = True) -> str:
    """How likely each of several things is, likeliest first; with buttons, each can be chosen."""
    rows: list[str] = []
    for name, chance in list(chances.items())[:MOST_BARS]:
        if rows and chance < LEAST:
            break
        shown = colouring.visible(name)
        # Single bytes of a character, and the end of a document, cannot be typed.
        usable = clickable and name and not _BYTES.fullmatch(name)
        rows.append(
            f'<button type="button" data-text="{text(name)}" {"" if usable else "disabled"}>'
            f'<span>{text(shown)}</span><span class="bar" style="width:{100 * chance:.2f}%"></span>'
            f'<span class="number">{_percent(chance)}</span></button>'
        )
    return f'<div class="bars"><p>{text(title)}</p>{"".join(rows)}</div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Small figures in a row, each with its name."""
    cells = [f"<span>{text(name)} <b>{text(value)}</b></span>" for name, value in pairs]
    return f'<div class="facts">{"".join(cells)}</div>'


def progress(share: float) -> str:
    """How much of a budget is spent, from 0 to 1."""
    return f'<progress max="1" value="{share:.3f}" aria-label="of the budget"></progress>'


def coloured(glyphs: Iterable[Glyph], *, small: bool = False) -> str:
    """A text whose characters have colours, and something to tell to whoever points at them."""
    spans = colouring.spans(glyphs)
    return f'<pre class="sheet coloured{" small" if small else ""}" tabindex="0">{spans}</pre>'


def heat(pieces: Sequence[tuple[str, float]]) -> str:
    """A text, coloured by how much each character mattered, one colour for, one against."""
    largest = max((abs(weight) for _, weight in pieces), default=0) or 1.0
    return coloured(
        (Glyph(piece, -weight / largest, f"{weight:+.3f}") for piece, weight in pieces), small=True
    )


def followers(rows: Iterable[ComponentCorrelation]) -> str:
    """Components of the state and what they follow; each can be chosen."""
    lines = [
        f'<button type="button" data-text="{row.component.layer}:'
        f'{row.component.kind}:{row.component.index}">'
        f'<span>{text(row.property)}</span><span class="bar" '
        f'style="width:{100 * abs(row.correlation):.1f}%"></span>'
        f'<span class="number">{row.correlation:+.2f}</span></button>'
        for row in rows
    ]
    title = "What a component follows, and how closely. Click one to see it."
    return f'<div class="bars wide"><p>{title}</p>{"".join(lines)}</div>'


def decay(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> str:
    """Curves that fall with the distance, on a logarithmic scale."""
    wide, high, left, right, top, bottom = 720, 320, 52, 118, 28, 34
    values = [value for curve in curves.values() for _, value in curve if value > 0]
    highest = ceil(log10(max(values, default=1)))
    lowest = max(floor(log10(min(values, default=0.1))), highest - 12)
    end = max((distance for curve in curves.values() for distance, _ in curve), default=1)

    def x(distance: float) -> float:
        return left + (wide - left - right) * distance / end

    def y(value: float) -> float:
        share = (highest - log10(max(value, 10.0**lowest))) / (highest - lowest)
        return top + (high - top - bottom) * share

    parts = [
        f'<line class="grid" x1="{left}" x2="{wide - right}" y1="{y(10.0**power):.1f}" '
        f'y2="{y(10.0**power):.1f}"/><text x="{left - 8}" y="{y(10.0**power) + 4:.1f}" '
        f'text-anchor="end">{10.0**power:g}</text>'
        for power in range(lowest, highest + 1, max(1, (highest - lowest) // 6))
    ]
    for number, (name, curve) in enumerate(curves.items()):
        seen = [(distance, value) for distance, value in curve if value > 10.0**lowest]
        line = " ".join(f"{x(distance):.1f},{y(value):.1f}" for distance, value in seen)
        parts.append(f'<polyline class="series s{number}" points="{line}"/>')
        if seen:
            parts.append(
                f'<text class="tag s{number}" x="{x(seen[-1][0]) + 8:.1f}" '
                f'y="{y(seen[-1][1]) + 4:.1f}">{text(name)}</text>'
            )
    parts.append(
        f'<text x="{left}" y="16">{text(title)}</text>'
        f'<text x="{wide - right}" y="{high - 12}" text-anchor="end">{end:g} characters back</text>'
    )
    return (
        f'<svg class="figure" viewBox="0 0 {wide} {high}" role="img" aria-label="{text(title)}">'
        f"{''.join(parts)}</svg>"
    )


def matrix(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    """A confusion matrix: a row for what a text is, a column for what it was taken for."""
    head = "".join(f"<th>{text(name)}</th>" for name in classes)
    rows = []
    for name, row in zip(classes, confusion, strict=True):
        total = max(1, sum(row))
        cells = "".join(
            f'<td style="background:color-mix(in srgb,var(--{"accent" if right else "second"}) '
            f'{round(70 * count / total)}%,transparent)" title="{text(name)} taken for {text(other)}">'
            f"{count or ''}</td>"
            for other, count in zip(classes, row, strict=True)
            for right in (other == name,)
        )
        rows.append(f"<tr><th>{text(name)}</th>{cells}</tr>")
    return (
        f"{note('Each row is what a text is, each column what it was taken for.')}"
        '<div class="scroll"><table class="matrix">'
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def curve(
    first: Sequence[tuple[float, float]],
    second: Sequence[tuple[float, float]],
    baselines: Mapping[str, float],
    unit: str,
    names: tuple[str, str],
) -> str:
    """Two curves over time (seconds, value), and what they are to be compared with as lines."""
    wide, high, left, right, top, bottom = 720, 300, 52, 118, 16, 34
    values = [value for _, value in (*first[len(first) // 20 :], *second)]
    near = [value for value in baselines.values() if not values or value < 1.6 * max(values)]
    low, top_value = min([*values, *near], default=0), max([*values, *near], default=1)
    step = _round_step((top_value - low) or 1)
    low, top_value = step * floor(low / step), step * ceil(top_value / step + 1e-9)
    end = max([seconds for seconds, _ in (*first, *second)], default=1) or 1

    def x(seconds: float) -> float:
        return left + (wide - left - right) * seconds / end

    def y(value: float) -> float:
        return top + (high - top - bottom) * (top_value - value) / (top_value - low)

    parts = []
    for k in range(round((top_value - low) / step) + 1):
        value = low + k * step
        parts.append(
            f'<line class="grid" x1="{left}" x2="{wide - right}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{value:g}</text>"
        )
    tags: list[tuple[float, str, str]] = []
    for name, value in baselines.items():
        if low <= value <= top_value:
            parts.append(
                f'<line class="base" x1="{left}" x2="{wide - right}" y1="{y(value):.1f}" '
                f'y2="{y(value):.1f}"/>'
            )
            tags.append((y(value), name, ""))
    for points, kind, name in ((first, "first", names[0]), (second, "second", names[1])):
        inside = [(s, min(value, top_value)) for s, value in points]
        if inside:
            line = " ".join(f"{x(s):.1f},{y(value):.1f}" for s, value in inside)
            parts.append(f'<polyline class="{kind}" points="{line}"/>')
            tags.append((y(inside[-1][1]), name, f"tag-{kind}"))
    parts += [f'<circle cx="{x(s):.1f}" cy="{y(value):.1f}" r="3"/>' for s, value in second]
    parts += [
        f'<text class="{kind}" x="{wide - right + 8}" y="{at + 4:.1f}">{text(name)}</text>'
        for at, name, kind in _apart(tags)
    ]
    minutes = f"{end / 60:.1f} minutes" if end > 90 else f"{end:.0f} seconds"
    parts.append(
        f'<text x="{wide - right}" y="{high - 12}" text-anchor="end">{minutes}</text>'
        f'<text x="{left}" y="{high - 12}">{text(unit)}</text>'
    )
    return (
        f'<svg class="figure" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="{text(unit)} over time">{"".join(parts)}</svg>'
    )


def _apart(tags: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Labels moved down until none lies on another."""
    placed: list[tuple[float, str, str]] = []
    for at, name, kind in sorted(tags):
        above = placed[-1][0] if placed else -100
        placed.append((max(at, above + 15), name, kind))
    return placed


def _round_step(span: float) -> float:
    """A step of 1, 2 or 5 that cuts a span into about four parts."""
    rough = span / 4
    power = 10.0 ** floor(log10(rough))
    return float(next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough))


def _percent(chance: float) -> str:
    return f"{100 * chance:.0f} %" if chance >= 0.0995 else f"{100 * chance:.1f} %"
