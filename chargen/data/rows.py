"""A column of a table as a text, in which each row is a document."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from chargen.data.tables import example, looks_like_table, read_table, refuse_or_note
from chargen.data.text import Text
from chargen.errors import ChargenError

SEPARATOR = "\x1e"  # ASCII's "record separator" stands between two rows
_GLANCE = 1 << 16  # characters by which a table is known


def open_corpus(sources: Sequence[str], encoding: str = "utf-8", columns: Sequence[str] = ()) -> Text:
    """Opens `sources` as a text; of tables, the cells of `columns`, joined by a space.

    The rows are then documents, with `SEPARATOR` between them. Notes of the text say how the tables
    were read, which rows were left out, and whether a text looks like a table of which no columns were
    named. Raises ChargenError where `Text.open` and `tables.read_table` do.
    """
    text = Text.open(sources, encoding)
    if not columns:
        if kind := looks_like_table(next(text.pieces(), "")[:_GLANCE]):
            text.notes.append(
                f"{text.name} looks like a table ({kind}), all of which is learned, names and quotes "
                "included; to learn the text of one column, name it"
            )
        return text
    notes = list(text.notes)
    rows = [_rows(replace(text, parts=(part,)), columns, notes) for part in text.parts]
    data = SEPARATOR.join(rows).encode()
    return Text(text.name, ((text.name, lambda: io.BytesIO(data)),), notes=notes, in_memory=True)


def _rows(text: Text, columns: Sequence[str], notes: list[str]) -> str:
    """Returns the texts of the rows of one table; adds to `notes` what a person should know."""
    ((label, _),) = text.parts
    table = read_table(label, "".join(text.pieces()), requested=columns)
    notes += [table.note, *table.remarks]
    selected, bad = table.select({"text": [table.column(column) for column in columns]})
    notes += refuse_or_note(label, bad, skip_bad_rows=True)
    if not selected:
        raise ChargenError(f"{label} holds no text in {' and '.join(map(repr, columns))}")
    texts = [values["text"].replace(SEPARATOR, " ") for _, values in selected]
    notes.append(f"{len(texts):,} texts, the first: {example({'text': texts[0]})}")
    return SEPARATOR.join(texts)
