"""The report of what a text copies from a corpus, for `inspect copies` and `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargen.cli.models import model_folder
from chargen.cli.terminal import say_notes

if TYPE_CHECKING:
    from chargen.generator import TextGenerator
    from chargen.inspection.copies import Copies, Report

MAX_PASSAGES = 10  # listed
MAX_CHARACTERS = 300  # shown of a passage
MAX_WORDS = 30  # listed


def open_index(
    model: str | None,
    corpus: tuple[str, ...],
    encoding: str = "utf-8",
    writer: TextGenerator | None = None,
) -> Copies:
    """Returns the index of `corpus` or, if it is empty, of the corpus that `model` was trained on.

    `writer` is the generator in the folder `model`, if it is loaded already.
    """
    from chargen.data.text import Text
    from chargen.inspection.copies import Copies

    if corpus:
        source = Text.open(corpus, encoding)
        say_notes(source.notes)
        return Copies.of(source)
    from chargen.generator import TextGenerator
    from chargen.runs.saved import corpus_of

    folder = model_folder(model)
    return corpus_of(Path(folder), (writer or TextGenerator.load(folder)).record)


def as_record(report: Report) -> dict[str, Any]:
    """Returns a report as --json prints it."""
    return {
        "characters": len(report.text),
        "least": report.least,
        "copied": report.copied,
        "share": report.share,
        "longest": max((passage.length for passage in report.passages), default=0),
        "passages": [
            {
                "start": passage.start,
                "length": passage.length,
                "place": passage.position,
                "line": passage.line,
                "occurrences": passage.occurrences,
                "text": report.text[passage.start : passage.start + passage.length],
            }
            for passage in report.passages
        ],
        "words": report.words,
        "new_words": report.new_words,
    }


def as_lines(report: Report) -> list[str]:
    """Returns a report as lines for a person: the share, the longest passages, the new words."""
    lines = [
        f"{report.share:.1%} of {len(report.text):,} characters are part of copies of "
        f"{report.least} or more"
    ]
    for passage in report.longest[:MAX_PASSAGES]:
        text = report.text[passage.start : passage.start + min(passage.length, MAX_CHARACTERS)]
        more = "…" if passage.length > MAX_CHARACTERS else ""
        often = f", {passage.occurrences:,} times" if passage.occurrences > 1 else ""
        lines.append(
            f"{passage.length:6,} characters at {passage.start:,}, line {passage.line:,} of the "
            f"corpus (character {passage.position:,}{often}): {text!r}{more}"
        )
    if len(report.passages) > MAX_PASSAGES:
        lines.append(f"… and {len(report.passages) - MAX_PASSAGES:,} shorter ones")
    new = sorted(report.new_words, key=lambda word: (-report.new_words[word], word))
    count = sum(report.new_words.values())
    share = f" ({count / report.words:.1%})" if report.words else ""
    more = ", …" if len(new) > MAX_WORDS else ""
    listed = f": {', '.join(new[:MAX_WORDS])}{more}" if new else ""
    lines.append(f"{count:,} of {report.words:,} words{share} are not in the corpus{listed}")
    return lines
