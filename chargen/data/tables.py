"""Tables of texts and labels: CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chargen.errors import ChargenError

LABEL_NAMES = ("label", "class", "category", "language", "target", "topic", "sentiment", "y")


TEXT_NAMES = ("text", "sentence", "content", "review", "title", "description", "body", "name", "x")


@dataclass
class _Row:
    """A row as it was read: its line, its cells in order or by name, or what is wrong with it."""

    line: int
    cells: list[str] | dict[str, Any]
    fault: str = ""


def table_kind(suffix: str, content: str) -> str:
    """By the name of the file, else by its first line."""
    if suffix in (".jsonl", ".ndjson", ".json"):
        return "JSON lines"
    if suffix in (".tsv", ".tab"):
        return "tab-separated"
    if suffix == ".csv":
        return "comma-separated"
    first = content.lstrip().split("\n", 1)[0]
    if first.startswith("{"):
        return "JSON lines"
    return "tab-separated" if "\t" in first else "comma-separated"


def json_line_rows(content: str) -> Iterator[_Row]:
    for line, text in enumerate(content.split("\n"), start=1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield _Row(line, {}, f"not JSON ({error})")
            continue
        yield _Row(line, value) if isinstance(value, dict) else _Row(line, {}, "not a JSON object")


def table_rows(content: str, kind: str) -> Iterator[_Row]:
    """Rows of a table. Tabs separate without quotes, as those who write them mean it."""
    if kind == "tab-separated":
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
            # Where a quote is never closed, all that follows has gone into this row.
            yield _Row(line, [], f"bad quoting ({error})")
            continue
        if cells:
            yield _Row(line, cells)


def labelled_rows(
    source: str,
    kind: str,
    rows: Iterator[_Row],
    text: list[str],
    label: str | None,
    header: bool | None,
    skip: bool,
    notes: list[str],
) -> list[tuple[str, str]]:
    """Chooses the columns, then takes text and label out of each row."""
    read = list(rows)
    width = Counter(len(row.cells) for row in read if not row.fault).most_common(1)
    if not width:
        raise ChargenError(f"{source}, line {read[0].line}: {read[0].fault}")
    names: list[str] = []
    if kind == "JSON lines":
        names = list(next(row.cells for row in read if not row.fault))
    else:
        sound = [row.cells for row in read if not row.fault and len(row.cells) == width[0][0]]
        if header or (header is None and _has_header(sound, [*text, label or ""])):
            names = [str(name).strip() for name in sound[0]]
            read = [row for row in read if row.cells is not sound[0]]
            notes.append(f"the first row is the header: {', '.join(names)}")
        elif header is None:
            notes.append("no header: the first row is a text like the others")
        if len(set(names)) < len(names):
            raise ChargenError(f"{source}: two columns are named {_twice(names)!r}")
    columns: list[Any] = names if kind == "JSON lines" else list(range(width[0][0]))
    if len(columns) < 2:
        raise ChargenError(
            f"{source} has one column ({kind}): a text and its label are needed. Should it be read "
            "as a folder of classes, or does it use another separator?"
        )
    at = _column(source, label, names, columns) if label else _guess_label(read, names, columns)
    rest = [column for column in columns if column != at]
    if text:
        texts = [_column(source, name, names, columns) for name in text]
    else:
        known = [c for c in rest if names and _name(c, names).lower() in TEXT_NAMES]
        texts = known or rest
    notes.append(
        f"label: {_called(at, names)}, text: {' and '.join(_called(c, names) for c in texts)}"
    )
    found, bad = [], []
    for row in read:
        pair, fault = _pair(row, at, texts, width[0][0], kind)
        if not fault:
            found.append(pair)
        elif skip:
            bad.append(row.line)
        else:
            raise ChargenError(
                f"{source}, line {row.line}: {fault}; mend it, or leave such rows out with "
                "--skip-bad-rows"
            )
    if bad:
        notes.append(f"left out {len(bad):,} bad rows, the first in line {bad[0]:,}")
    return found


def _pair(row: _Row, at: Any, texts: list[Any], width: int, kind: str) -> tuple[tuple[str, str], str]:
    """Text and label of a row, or what is wrong with it."""
    nothing = ("", "")
    if row.fault:
        return nothing, row.fault
    if kind != "JSON lines" and len(row.cells) != width:
        return nothing, f"{len(row.cells)} columns, where the others have {width}"
    cells: Any = row.cells
    if missing := [c for c in (at, *texts) if isinstance(cells, dict) and cells.get(c) is None]:
        return nothing, f"no {missing[0]!r}"
    if nested := [c for c in (at, *texts) if isinstance(cells[c], dict | list)]:
        return nothing, f"{nested[0]!r} holds no plain value"
    label = str(cells[at]).strip()
    content = " ".join(str(cells[column]).strip() for column in texts).strip()
    if not label:
        return nothing, "the label is empty"
    if not content:
        return nothing, "the text is empty"
    return (content, label), ""


def _has_header(rows: Sequence[Any], wanted: list[str]) -> bool:
    """Whether the first row names the columns.

    It does when it holds a name that was asked for; or usual names for a label and a text; or, in a
    table of some size, a cell that never comes again in a column where every other value does.
    """
    first = [str(cell).strip().lower() for cell in rows[0]]
    if any(name and not name.isdecimal() and name.lower() in first for name in wanted):
        return True
    if any(cell in LABEL_NAMES for cell in first) and any(cell in TEXT_NAMES for cell in first):
        return True
    if len(set(first)) < len(first) or any(len(cell) > 40 or not cell for cell in first):
        return False
    columns = [Counter(row[place] for row in rows[1:]) for place in range(len(first))]
    place = min(range(len(first)), key=lambda place: len(columns[place]))
    often = min(columns[place].values(), default=0) >= 3
    return len(rows) >= 20 and often and rows[0][place] not in columns[place]


def _guess_label(rows: list[_Row], names: list[str], columns: list[Any]) -> Any:
    """A column with a usual name, else the one with the fewest different values."""
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


def _column(source: str, wanted: str, names: list[str], columns: list[Any]) -> Any:
    if wanted in names:
        return wanted if columns[0] == names[0] else names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(columns):
        return columns[int(wanted) - 1]
    there = ", ".join(names) if names else f"1 to {len(columns)}"
    raise ChargenError(f"{source} has no column {wanted!r}; there are: {there}")


def _name(column: Any, names: list[str]) -> str:
    return column if isinstance(column, str) else names[column]


def _called(column: Any, names: list[str]) -> str:
    return f"column {_name(column, names)!r}" if names else f"column {column + 1}"


def _twice(names: list[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)
