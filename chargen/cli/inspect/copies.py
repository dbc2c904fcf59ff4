"""`chargen inspect copies`: finds the passages of a text that are copied from a corpus."""

from __future__ import annotations

import json

import click

from chargen.cli.copy_report import as_lines, as_record, open_index
from chargen.cli.inspect.output import colour_option, coloured
from chargen.cli.inspect.text_options import open_text, text_options
from chargen.cli.options import Source, json_option, model_option


@click.command
@text_options
@click.option(
    "--corpus",
    multiple=True,
    type=Source(),
    help="What may have been copied: a file, a folder, or python-docs; repeatable.  "
    "[default: what the model was trained on]",
)
@model_option()
@click.option(
    "--least",
    type=click.IntRange(1),
    default=30,
    help="Length in characters of the shortest passage that counts as copied.",
)
@colour_option
@json_option
def copies(
    file: str | None,
    text: str | None,
    encoding: str,
    corpus: tuple[str, ...],
    model: str | None,
    least: int,
    color: bool | None,
    as_json: bool,
) -> None:
    """Finds what a text copies from a corpus, character by character: FILE, or - for standard input.

    Shows the passages of at least --least characters, with their place in the corpus; the share of
    the text that they make up; and the words that are not in the corpus. The corpus is indexed once,
    and the index is stored in the cache.

    \b
      chargen sample -n 5000 | chargen inspect copies -
      chargen inspect copies poem.txt --corpus shakespeare.txt --least 20

    With --json: characters, copied, share, longest, passages (start, length, place, line, occurrences
    and text of each), words, new_words.
    """
    inspected = open_text(file, text, encoding)
    report = open_index(model, corpus, encoding).report(inspected, least)
    if as_json:
        click.echo(json.dumps(as_record(report), ensure_ascii=False))
        return
    if coloured(color):
        from chargen.rendering.colouring import terminal
        from chargen.rendering.describe import copy_glyphs

        click.echo(terminal(copy_glyphs(report)) + "\n", color=True)
    for line in as_lines(report):
        click.echo(line)
