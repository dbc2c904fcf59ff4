"""Values as HTML and SVG, coloured by the theme: texts, bars, curves, tables. Nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10

MOST_BARS, LEAST = 12, 0.0005
_BYTES = re.compile(r"(<[0-9A-F]{2}>)+")  # as `Mark.expected` names what is no whole character
# Control characters as pictures of themselves; newlines and tabs are shown as what they are.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
_NAMES = {"\n": "↵ newline", "\t": "⇥ tab", " ": "␣ space", "": "■ the end"}


def text(raw: str) -> str:
    """As it is to be read: no markup in it is markup."""
    # Braces and the dollar sign as well: the page's templates would look into them.
    safe = escape(raw.translate(_PICTURES), quote=True)
    return safe.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def named(character: str) -> str:
    """One character, so that it can be seen."""
    return _NAMES[character].split()[0] if character in _NAMES else character


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
        shown = _NAMES.get(name, name)
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


def heat(pieces: Sequence[tuple[str, float]]) -> str:
    """A text, coloured by how much each character mattered, one colour for, one against."""
    largest = max((abs(weight) for _, weight in pieces), default=0) or 1.0
    spans = []
    for piece, weight in pieces:
        strength = round(60 * abs(weight) / largest)
        colour = "accent" if weight > 0 else "second"
        spans.append(
            f'<span style="background:color-mix(in srgb,var(--{colour}) {strength}%,transparent)" '
            f'title="{weight:+.3f}">{text(piece)}</span>'
        )
    return f'<pre class="sheet small heat">{"".join(spans)}</pre>'


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
