"""`chargen inspect surprise`: shows the bits of every character of a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from chargen.cli.inspect.output import colour_option, coloured, svg_option, write_file
from chargen.cli.inspect.text_options import open_text, text_options
from chargen.cli.models import load_and_adapt
from chargen.cli.options import json_option, model_option, unknown_option

if TYPE_CHECKING:
    from chargen.inspection.surprise import Surprise


@click.command
@text_options
@unknown_option
@model_option()
@click.option(
    "--worst", type=click.IntRange(0), default=10, help="Number of least expected characters to list."
)
@click.option("--html", metavar="FILE", help="Also write the coloured text to a page in one file.")
@svg_option
@colour_option
@json_option
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

    Prints the text line by line, coloured by the bits of its characters, with the mean of each line
    in front; then the spots that the model expected least, and what it expected instead. The mean
    over all characters is the bits per character of `chargen eval`.

    \b
      chargen inspect surprise draft.txt
      chargen inspect surprise draft.txt --html draft.html
      chargen inspect surprise --text "To be, or nor to be" -m checkpoints/shakespeare

    With --json: bits_per_character, characters; each has text, bits (null where no context precedes
    it) and expected, a list of text and probability.
    """
    from chargen.rendering import colouring, describe

    writer, text = load_and_adapt(model, open_text(file, text, encoding), unknown)
    measured = writer.surprise(text)
    title = "What surprises the model"
    if html:
        glyphs = map(describe.surprise_glyph, measured.characters())
        write_file(html, colouring.page(title, describe.summary_html(measured, worst), glyphs))
    if svg:
        write_file(svg, colouring.svg(map(describe.surprise_glyph, measured.characters())))
    if as_json:
        click.echo(json.dumps(_as_record(measured), ensure_ascii=False, allow_nan=False))
        return
    colours = coloured(color)
    for line in measured.lines():
        shown = colouring.terminal(map(describe.surprise_glyph, line.characters))
        end = "" if shown.removesuffix("\x1b[0m").endswith("\n") else "\n"
        click.echo(f"{line.bits:5.2f} │ {shown}{end}", nl=False, color=colours)
    click.echo()
    for spot in measured.worst(worst):
        click.echo(describe.spot_line(spot))
    click.echo(f"{measured.bits_per_character:.3f} bits per character")


def _as_record(measured: Surprise) -> dict[str, object]:
    return {
        "bits_per_character": measured.bits_per_character,
        "characters": [
            {
                "text": character.text,
                "bits": character.bits,
                "expected": [
                    {"text": text, "probability": probability}
                    for text, probability in character.expected.items()
                ],
            }
            for character in measured.characters()
        ],
    }
