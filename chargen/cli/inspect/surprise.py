"""`chargen inspect surprise`: bits for every character of a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from chargen.cli.inspect.common import (
    colour_option,
    coloured,
    load_and_adapt,
    open_text,
    text_options,
    write_file,
)
from chargen.cli.options import model_option

if TYPE_CHECKING:
    from chargen.inspection.surprise import Surprise


@click.command(short_help="Bits for every character of a text.")
@text_options
@model_option
@click.option(
    "--worst", type=click.IntRange(0), default=10, help="How many of the worst spots to list."
)
@click.option("--html", metavar="FILE", help="Write the coloured text as a page in one file, too.")
@click.option("--svg", metavar="FILE", help="Write the coloured text as a picture, too.")
@colour_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def surprise(
    file: str | None,
    text: str | None,
    encoding: str,
    unknown: str,
    model: str | None,
    worst: int,
    html: str | None,
    svg: str | None,
    color: bool | None,
    as_json: bool,
) -> None:
    """Shows how much each character of a text surprises a model: FILE, or - for standard input.

    Each line of the text with the mean bits of its characters before it, the text coloured by them;
    then the spots that were least expected, with what the model would have written. Their mean is
    what `chargen eval` says of the same text.

    \b
      chargen inspect surprise draft.txt
      chargen inspect surprise draft.txt --html draft.html
      chargen inspect surprise --text "To be, or nor to be" -m checkpoints/shakespeare

    With --json: bits_per_character, characters; each has text, bits (null where no context precedes
    it) and expected, a list of text and probability.
    """
    from chargen.rendering import colouring, describe

    writer, text = load_and_adapt(model, open_text(file, text, encoding), unknown)
    found = writer.surprise(text)
    title = "What surprises the model"
    if html:
        glyphs = map(describe.surprise_glyph, found.characters())
        write_file(html, colouring.page(title, describe.summary_html(found, worst), glyphs))
    if svg:
        write_file(svg, colouring.svg(map(describe.surprise_glyph, found.characters())))
    if as_json:
        click.echo(json.dumps(_record(found), ensure_ascii=False, allow_nan=False))
        return
    colours = coloured(color)
    for line in found.lines():
        shown = colouring.terminal(map(describe.surprise_glyph, line.characters))
        end = "" if shown.removesuffix("\x1b[0m").endswith("\n") else "\n"
        click.echo(f"{line.bits:5.2f} │ {shown}{end}", nl=False, color=colours)
    click.echo()
    for spot in found.worst(worst):
        click.echo(describe.spot_line(spot))
    click.echo(f"{found.bits_per_character:.3f} bits per character")


def _record(found: Surprise) -> dict[str, object]:
    return {
        "bits_per_character": found.bits_per_character,
        "characters": [
            {
                "text": character.text,
                "bits": character.bits,
                "expected": [
                    {"text": text, "probability": chance}
                    for text, chance in character.expected.items()
                ],
            }
            for character in found.characters()
        ],
    }
