"""Tables of labelled texts: which format a file has, and which columns hold the text and the label.

A table is comma-separated with quotes (RFC 4180), tab-separated without quotes, or JSON lines. Nothing
is dropped silently: a row that does not fit is an error with its line number, and notes say what was
taken for the header, the label and the text.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError

# Usual names of columns, most telling first.
LABEL_NAMES = ("label", "class", "category", "language", "target", "topic", "sentiment", "y")
TEXT_NAMES = ("text", "sentence", "content", "review", "title", "description", "body", "name", "x")

_JSON, _TABS, _COMMAS = "JSON lines", "tab-separated", "comma-separated"


@dataclass
class _Row:
    """A row with the line on which it begins, and the reason where it cannot be used."""

    line: int  # from 1
    cells: list[str] | dict[str, Any]  # in order, or by name in JSON lines
    fault: str = ""


def read_table(
    source: str,
    content: str,
    *,
    text: Sequence[str] = (),
    label: str | None = None,
    header: bool | None = None,
    skip_bad_rows: bool = False,
) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the (text, label) of each row, and notes for a person on what was chosen.

    The name of `source` or the first line of `content` tells the format. `text` and `label` name
    columns or count them from 1, several texts are joined by a space; without them, usual names
    decide, or else the column with the fewest different values is the label. `header` says whether the
    first row holds names, or None to decide by its looks.

    Raises ChargenError for a column that does not exist, for a table without two columns, and for a
    bad row, unless `skip_bad_rows` leaves those out and counts them in a note.
    """
    notes: list[str] = []
    kind = _format(Path(source).suffix.lower(), content)
    rows = list(_json_rows(content) if kind == _JSON else _delimited_rows(content, kind))
    widths = Counter(len(row.cells) for row in rows if not row.fault).most_common(1)
    if not widths:
        raise ChargenError(f"{source}, line {rows[0].line}: {rows[0].fault}")
    width = widths[0][0]  # of most rows
    names: list[str] = []
    if kind == _JSON:
        names = list(next(row.cells for row in rows if not row.fault))
    else:
        sound = [row.cells for row in rows if not row.fault and len(row.cells) == width]
        if header or (header is None and _has_header(sound, [*text, label or ""])):
            names = [str(name).strip() for name in sound[0]]
            rows = [row for row in rows if row.cells is not sound[0]]
            notes.append(f"the first row is the header: {', '.join(names)}")
        elif header is None:
            notes.append("no header: the first row is a text like the others")
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise ChargenError(f"{source}: two columns are named {twice!r}")
    columns: list[Any] = names if kind == _JSON else list(range(width))
    if len(columns) < 2:
        raise ChargenError(
            f"{source} has one column ({kind}), but a text and its label are needed",
            "check the separator, or give a folder with a file for each class",
        )
    label_column = (
        _find_column(source, label, names, columns) if label else _guess_label(rows, names, columns)
    )
    if text:
        text_columns = [_find_column(source, name, names, columns) for name in text]
    else:
        rest = [column for column in columns if column != label_column]
        usual = [c for c in rest if names and _name(c, names).lower() in TEXT_NAMES]
        text_columns = usual or rest
    texts = " and ".join(_describe(column, names) for column in text_columns)
    notes.append(f"label: {_describe(label_column, names)}, text: {texts}")
    pairs, bad = [], []
    for row in rows:
        fault = row.fault
        if not fault and kind != _JSON and len(row.cells) != width:
            fault = f"{len(row.cells)} columns, where the others have {width}"
        pair, fault = (("", ""), fault) if fault else _pair(row.cells, label_column, text_columns)
        if not fault:
            pairs.append(pair)
        elif skip_bad_rows:
            bad.append(row.line)
        else:
            raise ChargenError(
                f"{source}, line {row.line}: {fault}",
                "correct the row, or leave such rows out with {skip_bad_rows}",
            )
    if bad:
        notes.append(f"left out {len(bad):,} bad rows, the first in line {bad[0]:,}")
    return pairs, notes


def _format(suffix: str, content: str) -> str:
    """Returns the format by the suffix of the file's name, or else by the first line."""
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _JSON
    if suffix in (".tsv", ".tab"):
        return _TABS
    if suffix == ".csv":
        return _COMMAS
    first = content.lstrip().split("\n", 1)[0]
    if first.startswith("{"):
        return _JSON
    return _TABS if "\t" in first else _COMMAS


def _json_rows(content: str) -> Iterator[_Row]:
    """Yields the rows of JSON lines, empty lines left out."""
    for line, text in enumerate(content.split("\n"), start=1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield _Row(line, {}, f"not JSON ({error})")
            continue
        yield _Row(line, value) if isinstance(value, dict) else _Row(line, {}, "not a JSON object")


def _delimited_rows(content: str, kind: str) -> Iterator[_Row]:
    """Yields the rows of a table with separators. Between tabs, a quote is a character like others."""
    if kind == _TABS:
        for line, text in enumerate(content.split("\n"), start=1):
            if text:
                yield _Row(line, text.split("\t"))
        return
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that is never closed takes everything behind it into this row.
            yield _Row(line, [], f"bad quoting ({error})")
            continue
        if cells:
            yield _Row(line, cells)


def _pair(cells: Any, label_column: Any, text_columns: list[Any]) -> tuple[tuple[str, str], str]:
    """Returns the (text, label) of a row, and what is wrong with it or ""."""
    nothing, columns = ("", ""), (label_column, *text_columns)
    if missing := [c for c in columns if isinstance(cells, dict) and cells.get(c) is None]:
        return nothing, f"no {missing[0]!r}"
    if nested := [c for c in columns if isinstance(cells[c], dict | list)]:
        return nothing, f"{nested[0]!r} holds no plain value"
    label = str(cells[label_column]).strip()
    text = " ".join(str(cells[column]).strip() for column in text_columns).strip()
    if not label:
        return nothing, "the label is empty"
    if not text:
        return nothing, "the text is empty"
    return (text, label), ""


def _has_header(rows: Sequence[Any], requested: list[str]) -> bool:
    """Returns whether the first row looks like the names of the columns.

    It does when it holds a requested name; or usual names for a label and a text; or, in a table of
    twenty rows or more, a cell that never recurs in a column where every other value does.
    """
    first = [str(cell).strip().lower() for cell in rows[0]]
    if any(name and not name.isdecimal() and name.lower() in first for name in requested):
        return True
    if any(cell in LABEL_NAMES for cell in first) and any(cell in TEXT_NAMES for cell in first):
        return True
    if len(set(first)) < len(first) or any(len(cell) > 40 or not cell for cell in first):
        return False
    values = [Counter(row[column] for row in rows[1:]) for column in range(len(first))]
    column = min(range(len(first)), key=lambda column: len(values[column]))
    recurs = min(values[column].values(), default=0) >= 3
    return len(rows) >= 20 and recurs and rows[0][column] not in values[column]


def _guess_label(rows: list[_Row], names: list[str], columns: list[Any]) -> Any:
    """Returns a column with a usual name, or else the one with the fewest different values."""
    for usual in LABEL_NAMES:
        for column in columns:
            if names and _name(column, names).lower() == usual:
                return column
    values: dict[Any, set[str]] = {column: set() for column in columns}
    for row in rows:
        cells: Any = row.cells
        if not row.fault and (isinstance(cells, dict) or len(cells) == len(columns)):
            for column in columns:
                values[column].add(
                    str(cells.get(column) if isinstance(cells, dict) else cells[column])
                )
    return min(columns, key=lambda column: len(values[column]))


def _find_column(source: str, requested: str, names: list[str], columns: list[Any]) -> Any:
    """Returns the column with the requested name or number; raises ChargenError for any other."""
    if requested in names:
        return requested if columns[0] == names[0] else names.index(requested)
    if requested.isdecimal() and 1 <= int(requested) <= len(columns):
        return columns[int(requested) - 1]
    choice = ", ".join(names) if names else f"1 to {len(columns)}"
    raise ChargenError(f"{source} has no column {requested!r}; there are: {choice}")


def _name(column: Any, names: list[str]) -> str:
    return column if isinstance(column, str) else names[column]


def _describe(column: Any, names: list[str]) -> str:
    return f"column {_name(column, names)!r}" if names else f"column {column + 1}"
