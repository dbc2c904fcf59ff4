"""Values as HTML in the colours of the theme: texts, bars, small print.

Each function returns markup for a `gr.HTML`; whatever text it is given is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from chargen.errors import ChargenError
from chargen.inspection.components import ComponentCorrelation
from chargen.rendering import colouring
from chargen.rendering.colouring import Glyph
from chargen.rendering.colouring import escape_html as escaped
from chargen.web.labels import error_text

MAX_BARS, MIN_PROBABILITY = 12, 0.0005
_BYTES = re.compile(r"(<[0-9A-F]{2}>)+")  # `Prefix.expected` names the parts of a character like this
# Of a text that a keyboard can scroll, in words for a screen reader.
_SCROLLED = 'tabindex="0" role="group" aria-label="Text"'


def visible(character: str) -> str:
    """Returns a character, or for white space the sign for it."""
    return colouring.visible(character).split()[0] if not character.strip() else character


def sheet(prompt: str, new: str = "", *, writing: bool = False, small: bool = False) -> str:
    """Renders a prompt and the new text after it, with a caret while it is being written."""
    caret = '<span class="caret"></span>' if writing else ""
    shape = "sheet small" if small else "sheet"
    return (
        f'<pre class="{shape}" {_SCROLLED}><span class="prompt">{escaped(prompt)}</span>'
        f"<span>{escaped(new)}</span>{caret}</pre>"
    )


def line(text: str) -> str:
    """Renders one line of a text."""
    return f'<pre class="line">{escaped(text)}</pre>'


def empty_sheet(hint: str) -> str:
    """Renders a sheet without text, with a hint that says how to fill it."""
    return f'<pre class="sheet"><span class="empty">{escaped(hint)}</span></pre>'


def sheets(
    titles: Sequence[str],
    prompt: str,
    texts: Sequence[str],
    *,
    writing: bool = False,
    chosen: int | None = None,
    glyphs: Sequence[Glyph] = (),
) -> str:
    """Renders several new texts after the same prompt side by side.

    With `chosen`, a click chooses another one, and `glyphs`, if there are any, are the chosen one in
    colours.
    """
    cells = []
    for index, (title, text) in enumerate(zip(titles, texts, strict=True)):
        content = sheet(prompt, text, writing=writing)
        if chosen is None:
            cells.append(f'<div><p class="title">{escaped(title)}</p>{content}</div>')
            continue
        is_chosen = index == chosen
        if is_chosen and glyphs:
            content = coloured(glyphs)
        cells.append(
            f'<div class="choice{" chosen" if is_chosen else ""}" data-sheet="{index}">'
            f'<button type="button" class="title" aria-pressed="{str(is_chosen).lower()}">'
            f"{escaped(title)}</button>{content}</div>"
        )
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


def verdict(answer: str, reason: str) -> str:
    """Renders an answer in large letters, and the reason for it."""
    return f'<p class="verdict" role="status"><b>{escaped(answer)}</b> {escaped(reason)}</p>'


def legend(colours: Iterable[tuple[str, str]]) -> str:
    """Renders what colours mean, each as (kind, meaning); the kinds are warm, cool and both."""
    swatches = [f'<span class="swatch {kind}"></span>{escaped(text)}' for kind, text in colours]
    return f'<div class="note legend">{"".join(f"<span>{swatch}</span>" for swatch in swatches)}</div>'


def bars(
    probabilities: Mapping[str, float], title: str, *, clickable: bool = True, names: bool = False
) -> str:
    """Renders probabilities, given likeliest first; each is a button where they are `clickable`.

    There is room for `names`, or else for characters.
    """
    rows: list[str] = []
    for name, probability in list(probabilities.items())[:MAX_BARS]:
        if rows and probability < MIN_PROBABILITY:
            break
        shown = escaped(colouring.visible(name))
        parts = (
            f'<span title="{shown}">{shown}</span>'
            f'<span class="bar"><span style="width:{100 * probability:.2f}%"></span></span>'
            f'<span class="number">{_percent(probability)}</span>'
        )
        if clickable:
            # Single bytes of a character, and the end of a document, cannot be typed.
            usable = name and not _BYTES.fullmatch(name)
            attributes = f'data-text="{escaped(name)}"{"" if usable else " disabled"}'
            rows.append(f'<li><button type="button" {attributes}>{parts}</button></li>')
        else:
            rows.append(f'<li class="row">{parts}</li>')
    kind = "bars names" if names else "bars"
    return f'<div class="{kind}"><p>{escaped(title)}</p><ul>{"".join(rows)}</ul></div>'


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
    return f'<pre class="sheet coloured{" small" if small else ""}" {_SCROLLED}>{spans}</pre>'


def weighted_text(pieces: Sequence[tuple[str, float]]) -> str:
    """Renders the pieces of a text by their weights: positive ones green, negative ones red."""
    largest = max((abs(weight) for _, weight in pieces), default=0) or 1.0
    return coloured(
        (Glyph(piece, -weight / largest, f"{weight:+.3f}") for piece, weight in pieces), small=True
    )


def component_list(rows: Iterable[ComponentCorrelation]) -> str:
    """Renders components of the state and what each of them tracks; each is a button."""
    lines = [
        f'<li><button type="button" data-text="{row.component.layer}:'
        f'{row.component.kind}:{row.component.index}">'
        f'<span title="{escaped(row.property)}">{escaped(row.property)}</span><span class="bar">'
        f'<span style="width:{100 * abs(row.correlation):.1f}%"></span></span>'
        f'<span class="number">{row.correlation:+.2f}</span></button></li>'
        for row in rows
    ]
    title = "What a cell tracks, and how closely (correlation). Click one to see it."
    return f'<div class="bars wide"><p>{title}</p><ul>{"".join(lines)}</ul></div>'


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if probability >= 0.0995 else f"{100 * probability:.1f} %"


def end_of(text: str, length: int) -> str:
    """Returns the last characters of a text in one line."""
    return ("…" if len(text) > length else "") + text[-length:].replace("\n", "↵")
