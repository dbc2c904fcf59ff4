"""Tables of texts: which columns a file has, by its content, and which hold the text and the label.

    table = read_table("jokes.csv", content)
    table.note                                      "comma-separated with quotes, header: id, joke"
    rows, bad = table.select({"text": [table.column("joke")]})

The content decides, never the name of the file. No line is lost: each is in a row, in a bad row or in
the header, or it is blank. What was taken, and what was left out, is said in notes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chargen.data.delimited import (
    LABEL_NAMES,
    TEXT_NAMES,
    cells_of,
    find_separator,
    is_header,
    read_delimited,
)
from chargen.data.table_formats import BadRow, Parsed, Row, read_fasttext, read_json
from chargen.errors import ChargenError

_LISTED = 12  # columns, in a note
_LISTED_LINES = 5  # of bad rows, in a message
_EXAMPLE = 40  # characters of a cell that is shown
_GLANCE = 1 << 16  # characters by which a text is taken for a table
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?")


@dataclass(frozen=True)
class Table:
    """The rows of a table, with the lines that each takes.

    Columns are numbers from 0. A line that is in no row, in no bad row and not in the header is blank,
    or holds nothing but what surrounds the rows, such as the brackets of JSON.
    """

    source: str  # for messages
    format: str  # for a person: "comma-separated with quotes"
    names: list[str]  # of the columns, "" where one has none; empty without a header
    width: int  # columns
    rows: list[Row]
    bad: list[BadRow]
    header: Row | None = None
    remarks: Sequence[str] = ()  # for a person, beyond the format

    @property
    def note(self) -> str:
        """The format and the names of the columns, in one line."""
        if not self.names and any(isinstance(row.cells, list) for row in self.rows):
            return f"{self.format}, no header: the first row is a text like the others"
        if not self.names:
            return self.format
        shown = [_printable(name) or "(no name)" for name in self.names[:_LISTED]]
        more = f", … {self.width - _LISTED} more" if self.width > _LISTED else ""
        return f"{self.format}, {'header' if self.header else 'keys'}: {', '.join(shown)}{more}"

    def cell(self, row: Row, column: int) -> Any:
        """Returns the value in a column, None where the row has none."""
        if isinstance(row.cells, dict):
            value = row.cells.get(self.names[column])
            return None if value != value else value  # NaN is how pandas writes a missing value
        return row.cells[column]

    @cached_property
    def values(self) -> list[list[str]]:
        """The values in each column, trimmed, without those that are empty or no plain values."""
        columns: list[list[str]] = []
        for column in range(self.width):
            cells = (self.cell(row, column) for row in self.rows)
            plain = (str(cell).strip() for cell in cells if not isinstance(cell, dict | list | None))
            columns.append([value for value in plain if value])
        return columns

    @cached_property
    def usable(self) -> list[int]:
        """The columns that may be taken without being asked for: not empty, and not nameless."""
        named = [column for column in range(self.width) if not self.names or self.names[column]]
        return [column for column in named if self.values[column]]

    def column(self, requested: str) -> int:
        """Returns the column with a name, or a number from 1; raises ChargenError for any other."""
        if requested in self.names:
            if self.names.count(requested) > 1:
                raise ChargenError(
                    f"{self.source}: two columns are named {requested!r}",
                    "rename one, or give the number of a column",
                )
            return self.names.index(requested)
        if requested.isdecimal() and 1 <= int(requested) <= self.width:
            return int(requested) - 1
        choice = ", ".join(filter(None, self.names)) if self.names else f"1 to {self.width}"
        raise ChargenError(f"{self.source} has no column {requested!r}; there are: {choice}")

    def describe(self, column: int) -> str:
        """Returns what a person calls a column."""
        return f"column {self.names[column]!r}" if self.names else f"column {column + 1}"

    def guess_label(self, classes: Collection[str] = ()) -> int:
        """Returns the column with a usual name for a label, or else the one with the fewest values.

        Where `classes` are known, the column with the most of them comes before the latter.

        Raises ChargenError where no column can be it: each is constant, or has as many different
        values as rows, or there is but one.
        """
        if len(self.usable) < 2:
            one = "one column" if self.width < 2 else "one column that is not empty"
            raise ChargenError(
                f"{self.source} has {one}, but a text and its label are needed ({self.note})",
                "name the {separator}, or give a folder with a file for each class",
            )
        if usual := self._with_names(LABEL_NAMES):
            return self.column(self.names[usual[0]])
        known = {c: sum(value in classes for value in self.values[c]) for c in self.usable}
        if classes and any(known.values()):
            return max(known, key=lambda column: known[column])
        different = {column: len(set(self.values[column])) for column in self.usable}
        empty = {column: len(self.rows) - len(self.values[column]) for column in self.usable}
        constant = [c for c in self.usable if different[c] == 1 and not empty[c]]
        chosen = [c for c in self.usable if c not in constant and different[c] < len(self.values[c])]
        if not chosen:
            reason = "each has another value in every row"
            if constant:
                value = _shown(self.values[constant[0]][0])
                reason = f"with {self.describe(constant[0])}, all texts have the label {value}"
            raise ChargenError(
                f"{self.source}: no column can be told to be the label: {reason}",
                "name the column with {label}",
            )
        # A column that is mostly empty, or has one value where it is not empty, is hardly the label.
        return min(
            chosen, key=lambda c: (2 * empty[c] > len(self.rows), different[c] == 1, different[c])
        )

    def guess_texts(self, label: int) -> list[int]:
        """Returns the columns with usual names for a text, or else all but that of the label.

        Raises ChargenError where there are none.
        """
        rest = [column for column in self.usable if column != label]
        if usual := [column for column in self._with_names(TEXT_NAMES) if column != label]:
            return [self.column(self.names[column]) for column in usual]
        if not rest:
            raise ChargenError(
                f"{self.source} has no column for the text beside {self.describe(label)}",
                "name the column with {text}",
            )
        return rest

    def _with_names(self, usual: Sequence[str]) -> list[int]:
        """Returns the usable columns with one of the usual names, the most telling first."""
        if not self.names:
            return []
        order = {c: usual.index(n) for c in self.usable if (n := self.names[c].lower()) in usual}
        return sorted(order, key=lambda column: order[column])

    def select(
        self, fields: Mapping[str, Sequence[int]]
    ) -> tuple[list[tuple[Row, dict[str, str]]], list[BadRow]]:
        """Returns each row with the value of each field, and all bad rows in order.

        A field is the cells of its columns, trimmed and joined by a space. A row is bad where a cell
        is missing, holds no plain value or half a character, or a field is empty.
        """
        selected, bad = [], list(self.bad)
        for row in self.rows:
            values, fault = {}, ""
            for name, columns in fields.items():
                cells = [self.cell(row, column) for column in columns]
                values[name], fault = self._join(name, columns, cells)
                if fault:
                    bad.append(BadRow(row.line, row.lines, fault, row.entry))
                    break
            if not fault:
                selected.append((row, values))
        return selected, sorted(bad, key=lambda row: (row.line, row.entry))

    def _join(self, name: str, columns: Sequence[int], cells: list[Any]) -> tuple[str, str]:
        """Returns the value of a field, and what is wrong with it or ""."""
        for column, cell in zip(columns, cells, strict=True):
            if cell is None:
                return "", f"no {self.names[column]!r}"
            if isinstance(cell, dict | list):
                return "", f"{self.names[column]!r} holds no plain value"
        value = " ".join(str(cell).strip() for cell in cells).strip()
        value = value.replace("\r\n", "\n").replace("\r", "\n")
        if not value:
            return "", f"the {name} is empty"
        if half := re.search("[\ud800-\udfff]", value):
            code = ord(half[0])
            return "", f"the {name} holds half a character (the surrogate U+{code:04X})"
        return value, ""


def read_table(
    source: str,
    content: str,
    *,
    separator: str | None = None,
    header: bool | None = None,
    requested: Sequence[str] = (),
) -> Table:
    """Reads a table, whose format, separator, quoting and header its content shows.

    Args:
        source: what errors call the table.
        content: JSON lines, a JSON array of objects, a JSON object that holds rows or columns,
            fastText's format, or rows of cells with a separator.
        separator: a character or its name, for a table that has separators; None to find it.
        header: whether the first row names the columns; None to decide by its looks.
        requested: names of columns that a person gave, by which a header is known.

    Raises:
        ChargenError: for a separator that is none, and where the content can be read in several ways.
    """
    content = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = content.removesuffix("\n").split("\n")
    try:
        one = find_separator(separator) if separator is not None else None
        parsed = None if one else read_json(content, lines) or read_fasttext(lines)
        if parsed is None:
            parsed = _with_header(read_delimited(content, lines, one, requested), header, requested)
    except ChargenError as error:
        raise error.within(source) from None
    return Table(
        source,
        parsed.format,
        parsed.names,
        parsed.width,
        parsed.rows,
        parsed.bad,
        parsed.header,
        parsed.remarks,
    )


def looks_like_table(content: str) -> str:
    """Returns what kind of table with named columns a text looks like, or "" for any other text.

    Only its beginning is read. Prose, source code and lists of names are not taken for tables.
    """
    glance = content[:_GLANCE]
    if len(content) > _GLANCE:
        glance = glance.rpartition("\n")[0]
    try:
        table = read_table("text", glance)
    except ChargenError:
        return ""
    bad = sum(row.lines for row in table.bad)
    good = sum(row.lines for row in table.rows)
    # A row that the glance cuts off may be bad.
    if not table.names or len(table.rows) < 2 or len(table.usable) < 2 or bad * 20 > good + 20:
        return ""
    return table.note


def refuse_or_note(source: str, bad: Sequence[BadRow], skip_bad_rows: bool) -> list[str]:
    """Returns a note on bad rows that are left out; without `skip_bad_rows`, raises ChargenError."""
    if not bad:
        return []
    numbers = list(dict.fromkeys(f"{row.line:,}" for row in bad))
    listed = ", ".join(numbers[:_LISTED_LINES]) + (", …" if len(numbers) > _LISTED_LINES else "")
    where = f"in line{'s' if len(numbers) > 1 else ''} {listed}"
    rows = f"{len(bad):,} bad row{'s' if len(bad) > 1 else ''}"
    if (count := sum(row.lines for row in bad)) > len(bad):
        rows += f" of {count:,} lines"
    reason = bad[0].reason + (f", in object {bad[0].entry:,}" if bad[0].entry else "")
    if skip_bad_rows:
        return [f"left out {rows}, {where}; the first: {reason}"]
    raise ChargenError(
        f"{source}, line {bad[0].line}: {reason}" + (f" ({rows}, {where})" if len(bad) > 1 else ""),
        "correct the row, or leave such rows out with {skip_bad_rows}",
    )


def example(values: Mapping[str, str]) -> str:
    """Returns the fields of a row for a person: "label 'pos', text 'fine day'"."""
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _with_header(parsed: Parsed, header: bool | None, requested: Sequence[str]) -> Parsed:
    """Makes the first row the header, if it is one."""
    if parsed.rows and (header or (header is None and _looks_like_header(parsed, requested))):
        parsed.header, *parsed.rows = parsed.rows
        parsed.names = cells_of(parsed.header)
    return parsed


def _looks_like_header(parsed: Parsed, requested: Sequence[str]) -> bool:
    """Returns whether the first row looks like the names of the columns.

    It does when it holds requested or usual names, or numbered ones such as v1 and v2. Otherwise it
    must differ from its columns: no number above numbers, or, in a table of twenty rows or more, a
    value that never recurs in a column where every other value does.
    """
    first = cells_of(parsed.rows[0])
    if is_header(first, requested):
        return True
    named = [column for column, name in enumerate(first) if name]
    names = [first[column].lower() for column in named]
    if len(set(names)) < len(names) or any(len(name) > 40 for name in names):
        return False
    numbered = [re.fullmatch(r"([a-z]+[ _]?)(\d+)", name) for name in names]
    if len(names) > 1 and all(numbered) and len({match[1] for match in numbered if match}) == 1:
        return True
    columns = [[cells_of(row)[column] for row in parsed.rows[1:]] for column in named]
    filled = [(name, list(filter(None, values))) for name, values in zip(names, columns, strict=True)]
    filled = [(name, values) for name, values in filled if values]
    if any(
        len(values) >= 3 and not _NUMBER.fullmatch(name) and all(map(_NUMBER.fullmatch, values))
        for name, values in filled
    ):
        return True
    if any(
        len(name) > 1 and name in LABEL_NAMES and name not in map(str.lower, values)
        for name, values in filled
    ):
        return True
    counts = [(name, Counter(map(str.lower, values))) for name, values in filled]
    if len(parsed.rows) < 20 or not counts:
        return False
    name, recurring = min(counts, key=lambda count: len(count[1]))
    return min(recurring.values()) >= 3 and name not in recurring


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _shown(value: str) -> str:
    return repr(value if len(value) <= _EXAMPLE else value[: _EXAMPLE - 1] + "…")
