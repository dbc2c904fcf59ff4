"""Values as HTML and SVG in the colours of the theme: texts, bars, curves, tables.

Each function returns markup for a `gr.HTML`, but for `download_js`; whatever text it is given is
escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10

from chargen.errors import ChargenError
from chargen.inspection.components import ComponentCorrelation
from chargen.rendering import colouring
from chargen.rendering.colouring import Glyph
from chargen.rendering.colouring import escape_html as escaped
from chargen.web.labels import error_text

MAX_BARS, MIN_PROBABILITY = 12, 0.0005
_BYTES = re.compile(r"(<[0-9A-F]{2}>)+")  # `Prefix.expected` names the parts of a character like this
# Turns a click on a button of `bars` or `component_list` into the `select` event of their gr.HTML.
SELECT_ON_CLICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-text]');
  if (button && !button.disabled) trigger('select', {text: button.dataset.text});
});
"""


def download_js(text: str, name: str, mime: str) -> str:
    """Returns the JavaScript of a handler that downloads a text as a file called `name`.

    `text` is an expression for the text, in which `input` is the first input of the handler. Nothing
    is downloaded while it is empty.
    """
    return f"""
(input) => {{
  const text = {text};
  if (!text) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {{type: '{mime}'}}));
  link.download = '{name}';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}}
"""


def visible(character: str) -> str:
    """Returns a character, or for white space the sign for it."""
    return colouring.visible(character).split()[0] if not character.strip() else character


def sheet(prompt: str, new: str = "", *, writing: bool = False, small: bool = False) -> str:
    """Renders a prompt and the new text after it, with a caret while it is being written."""
    caret = '<span class="caret"></span>' if writing else ""
    shape = "sheet small" if small else "sheet"
    return (
        f'<pre class="{shape}" tabindex="0"><span class="prompt">{escaped(prompt)}</span>'
        f"<span>{escaped(new)}</span>{caret}</pre>"
    )


def empty_sheet(hint: str) -> str:
    """Renders a sheet without text, with a hint that says how to fill it."""
    return f'<pre class="sheet"><span class="empty">{escaped(hint)}</span></pre>'


def sheets(titles: Sequence[str], prompt: str, texts: Sequence[str], *, writing: bool = False) -> str:
    """Renders several new texts after the same prompt side by side."""
    cells = [
        f"<div><h4>{escaped(title)}</h4>{sheet(prompt, text, writing=writing)}</div>"
        for title, text in zip(titles, texts, strict=True)
    ]
    return f'<div class="sheets">{"".join(cells)}</div>'


def note(message: str, *, bad: bool = False) -> str:
    """Renders a line of small print."""
    return f'<div class="note{" bad" if bad else ""}" role="status">{escaped(message)}</div>'


def error_note(error: ChargenError) -> str:
    """Renders an error in the words of the page."""
    return note(error_text(error), bad=True)


def details(message: str) -> str:
    """Renders small print that a visitor has to open."""
    return f'<details class="note"><summary>Details</summary>{escaped(message)}</details>'


def bars(probabilities: Mapping[str, float], title: str, *, clickable: bool = True) -> str:
    """Renders probabilities, given likeliest first; each is a button where they are `clickable`."""
    rows: list[str] = []
    for name, probability in list(probabilities.items())[:MAX_BARS]:
        if rows and probability < MIN_PROBABILITY:
            break
        # Single bytes of a character, and the end of a document, cannot be typed.
        usable = clickable and name and not _BYTES.fullmatch(name)
        rows.append(
            f'<button type="button" data-text="{escaped(name)}" {"" if usable else "disabled"}>'
            f"<span>{escaped(colouring.visible(name))}</span>"
            f'<span class="bar" style="width:{100 * probability:.2f}%"></span>'
            f'<span class="number">{_percent(probability)}</span></button>'
        )
    return f'<div class="bars"><p>{escaped(title)}</p>{"".join(rows)}</div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Renders small figures in a row, each as (name, value)."""
    cells = [f"<span>{escaped(name)} <b>{escaped(value)}</b></span>" for name, value in pairs]
    return f'<div class="facts">{"".join(cells)}</div>'


def progress_bar(share: float) -> str:
    """Renders the share of a budget that is spent, from 0 to 1."""
    return f'<progress max="1" value="{share:.3f}" aria-label="of the training time"></progress>'


def coloured(glyphs: Iterable[Glyph], *, small: bool = False) -> str:
    """Renders a text whose characters have colours and tooltips."""
    spans = colouring.spans(glyphs)
    return f'<pre class="sheet coloured{" small" if small else ""}" tabindex="0">{spans}</pre>'


def weighted_text(pieces: Sequence[tuple[str, float]]) -> str:
    """Renders the pieces of a text by their weights: positive ones green, negative ones red."""
    largest = max((abs(weight) for _, weight in pieces), default=0) or 1.0
    return coloured(
        (Glyph(piece, -weight / largest, f"{weight:+.3f}") for piece, weight in pieces), small=True
    )


def component_list(rows: Iterable[ComponentCorrelation]) -> str:
    """Renders components of the state and what each of them tracks; each is a button."""
    lines = [
        f'<button type="button" data-text="{row.component.layer}:'
        f'{row.component.kind}:{row.component.index}">'
        f'<span>{escaped(row.property)}</span><span class="bar" '
        f'style="width:{100 * abs(row.correlation):.1f}%"></span>'
        f'<span class="number">{row.correlation:+.2f}</span></button>'
        for row in rows
    ]
    title = "What a cell tracks, and how closely (correlation). Click one to see it."
    return f'<div class="bars wide"><p>{title}</p>{"".join(lines)}</div>'


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
    return (
        f'<svg class="figure" viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(title)}">'
        f"{''.join(parts)}</svg>"
    )


def confusion_matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Renders the counts (C, C) of texts: a row for each true class, a column for each predicted."""
    head = "".join(f"<th>{escaped(name)}</th>" for name in classes)
    rows = []
    for true, row in zip(classes, counts, strict=True):
        total = max(1, sum(row))
        cells = []
        for predicted, count in zip(classes, row, strict=True):
            colour = "accent" if predicted == true else "second"
            share = round(70 * count / total)  # per cent; the number stays legible on 70
            cells.append(
                f'<td style="background:color-mix(in srgb,var(--{colour}) {share}%,transparent)" '
                f'title="{escaped(true)}, classified as {escaped(predicted)}">{count or ""}</td>'
            )
        rows.append(f"<tr><th>{escaped(true)}</th>{''.join(cells)}</tr>")
    return (
        f"{note('Each row is a true class, each column a predicted one.')}"
        '<div class="scroll"><table class="matrix">'
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def training_curves(
    losses: Sequence[tuple[float, float]],
    scores: Sequence[tuple[float, float]],
    baselines: Mapping[str, float],
    unit: str,
    names: tuple[str, str],
) -> str:
    """Renders two curves of (seconds, value), called `names`, and the baselines as dashed lines."""
    width, height, left, right, top, bottom = 720, 300, 52, 190, 16, 34
    # The first losses are far above all others and would flatten the curves.
    values = [value for _, value in (*losses[len(losses) // 20 :], *scores)]
    nearby = [value for value in baselines.values() if not values or value < 1.6 * max(values)]
    low, high = min([*values, *nearby], default=0), max([*values, *nearby], default=1)
    step = _round_step((high - low) or 1)
    low, high = step * floor(low / step), step * ceil(high / step + 1e-9)
    end = max([seconds for seconds, _ in (*losses, *scores)], default=1) or 1

    def x(seconds: float) -> float:
        return left + (width - left - right) * seconds / end

    def y(value: float) -> float:
        return top + (height - top - bottom) * (high - value) / (high - low)

    parts = []
    for k in range(round((high - low) / step) + 1):
        value = low + k * step
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{value:g}</text>"
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
        clamped = [(s, min(value, high)) for s, value in points]
        if clamped:
            line = " ".join(f"{x(s):.1f},{y(value):.1f}" for s, value in clamped)
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
        f'aria-label="{escaped(unit)} over time">{"".join(parts)}</svg>'
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


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if probability >= 0.0995 else f"{100 * probability:.1f} %"
