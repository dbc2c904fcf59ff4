"""`chargen inspect copies`: what of a text stands in the corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.inspect.common import colour_option, coloured, open_text
from chargen.cli.models import model_folder
from chargen.cli.options import Source, model_option
from chargen.cli.terminal import say

if TYPE_CHECKING:
    from chargen.generator import TextGenerator
    from chargen.inspection.copies import Copies, Report

SHOWN = 10  # passages
MOST_SHOWN = 300  # characters of one


@click.command(short_help="Passages that stand in the training text.")
@click.argument("file", required=False, type=Source())
@click.option("--text", metavar="TEXT", help="The text itself, instead of a FILE.")
@click.option(
    "--corpus",
    multiple=True,
    type=Source(),
    help="What may have been copied: a file, a folder, or python-docs; repeatable.  "
    "[default: what the model was trained on]",
)
@model_option
@click.option(
    "--least", type=click.IntRange(1), default=30, help="Characters from which on a passage counts."
)
@click.option("--encoding", default="utf-8", help="Of the files.")
@colour_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def copies(
    file: str | None,
    text: str | None,
    corpus: tuple[str, ...],
    model: str | None,
    least: int,
    encoding: str,
    color: bool | None,
    as_json: bool,
) -> None:
    """Finds what of a text is copied from a corpus, character by character: FILE, or - for stdin.

    All passages of at least so many characters, with their place in the corpus; the share of the text
    that is inside of them; and the words that the corpus does not have. The corpus is indexed once,
    and kept in the cache.

    \b
      chargen sample -n 5000 | chargen inspect copies -
      chargen inspect copies poem.txt --corpus shakespeare.txt --least 20

    With --json: characters, copied, share, longest, passages (start, length, place, line, occurrences
    and text of each), words, new_words.
    """
    whole = open_text(file, text, encoding)
    index = find_index(model, corpus, encoding)
    found = index.report(whole, least)
    if as_json:
        click.echo(json.dumps(record(found), ensure_ascii=False))
        return
    if coloured(color):
        from chargen.rendering.colouring import terminal
        from chargen.rendering.describe import copy_glyphs

        click.echo(terminal(copy_glyphs(found)) + "\n", color=True)
    for line in lines(found):
        click.echo(line)


def find_index(
    model: str | None,
    corpus: tuple[str, ...],
    encoding: str = "utf-8",
    writer: TextGenerator | None = None,
) -> Copies:
    """The index of the corpus that is meant: the one named, or that of the model."""
    from chargen.data.text import Text
    from chargen.inspection.copies import Copies

    if corpus:
        source = Text.open(corpus, encoding)
        for note in source.notes:
            say(f"note: {note}")
        return Copies.of(source)
    from chargen.generator import TextGenerator
    from chargen.runs.run import corpus_of

    folder = model_folder(model)
    return corpus_of(Path(folder), (writer or TextGenerator.load(folder)).record)


def record(found: Report) -> dict[str, Any]:
    """A report for --json."""
    return {
        "characters": len(found.text),
        "least": found.least,
        "copied": found.copied,
        "share": found.share,
        "longest": max((passage.length for passage in found.passages), default=0),
        "passages": [
            {
                "start": passage.start,
                "length": passage.length,
                "place": passage.position,
                "line": passage.line,
                "occurrences": passage.occurrences,
                "text": found.text[passage.start : passage.start + passage.length],
            }
            for passage in found.passages
        ],
        "words": found.words,
        "new_words": found.new_words,
    }


def lines(found: Report) -> list[str]:
    """A report for a person."""
    told = [
        f"{found.share:.1%} of {len(found.text):,} characters are inside of copies of "
        f"{found.least} or more"
    ]
    for passage in found.longest[:SHOWN]:
        text = found.text[passage.start : passage.start + min(passage.length, MOST_SHOWN)]
        more = "…" if passage.length > MOST_SHOWN else ""
        often = f", {passage.occurrences:,} times" if passage.occurrences > 1 else ""
        told.append(
            f"{passage.length:6,} characters at {passage.start:,}, line {passage.line:,} of the "
            f"corpus (character {passage.position:,}{often}): {text!r}{more}"
        )
    if len(found.passages) > SHOWN:
        told.append(f"… and {len(found.passages) - SHOWN:,} shorter ones")
    new = sorted(found.new_words, key=lambda word: (-found.new_words[word], word))
    count = sum(found.new_words.values())
    share = f" ({count / found.words:.1%})" if found.words else ""
    shown = f": {', '.join(new[:30])}{', …' if len(new) > 30 else ''}" if new else ""
    told.append(f"{count:,} of {found.words:,} words{share} are not in the corpus{shown}")
    return told
