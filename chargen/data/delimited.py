"""The rows of a table with separators: which separator and which quoting it has, by its content.

A separator is right if it cuts the lines into equally many columns. Where two do, the names in the
header, the quotes and the spaces behind a separator decide; what is still ambiguous is an error that
shows both readings. Parsing is left to the standard library's `csv`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from chargen.data.table_formats import BadRow, Parsed, Row
from chargen.errors import ChargenError

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
# Usual names of columns, most telling first.
LABEL_NAMES = ("label", "class", "category", "language", "target", "topic", "sentiment", "y")
TEXT_NAMES = ("text", "sentence", "content", "review", "title", "description", "body", "name", "x")

_SAMPLE = 1000  # records by which a separator is judged
_NEARLY = 0.9  # of the best reading's share of good lines, from which on other signs decide
_NO_SEPARATOR = "\x1f"  # hardly in any text, for a table of one column
_DECLARED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # the first line of some spreadsheets' files


@dataclass(frozen=True)
class _Dialect:
    """How lines are cut into cells."""

    separator: str
    quote: str = '"'  # "" where quotes are characters like others
    escape: bool = False  # whether a backslash takes its meaning from a quote or a separator
    padded: bool = False  # whether spaces behind a separator do not count

    def read(self, lines: Sequence[str], start: int) -> Any:
        """Returns a reader of the records from line `start` (from 0) on."""
        return csv.reader(
            map(lines.__getitem__, range(start, len(lines))),
            delimiter=self.separator,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar="\\" if self.escape else None,
            skipinitialspace=self.padded,
            strict=True,
        )


@dataclass(frozen=True)
class _Reading:
    """Lines as one dialect cuts them: rows of one width, and bad rows."""

    dialect: _Dialect
    rows: list[Row]
    bad: list[BadRow]
    width: int  # columns

    @property
    def bad_lines(self) -> int:
        """The number of lines that are in no row."""
        return sum(row.lines for row in self.bad)

    @property
    def share(self) -> float:
        """The share of lines that are in rows, from 0 to 1."""
        good = sum(row.lines for row in self.rows)
        return good / max(1, good + self.bad_lines)

    @property
    def first(self) -> list[str]:
        """The cells of the first row, trimmed."""
        return cells_of(self.rows[0]) if self.rows else []


def find_separator(requested: str) -> str:
    """Returns the separator with a name, or the character itself; raises ChargenError for another."""
    separator = SEPARATORS.get(requested.lower(), "\t" if requested == "\\t" else requested)
    if len(separator) != 1 or separator in '"\n\r\0\\':
        raise ChargenError(
            f"the separator {requested!r} is not one character",
            f"set {{separator}} to {', '.join(SEPARATORS)} or a character",
        )
    return separator


def separator_name(separator: str) -> str:
    """Returns what a person calls a separator."""
    return next((name for name, one in SEPARATORS.items() if one == separator), repr(separator))


def read_delimited(
    content: str, lines: list[str], separator: str | None, requested: Sequence[str]
) -> Parsed:
    """Reads rows of cells, by `separator` or the one that the content shows.

    `requested` are names of columns that a person gave. Raises ChargenError for an ambiguous content.
    """
    csv.field_size_limit(1 << 30)
    ended = [line + "\n" for line in lines]
    start = 0
    if declared := _DECLARED.fullmatch(lines[0].strip(" ") if lines else ""):
        separator, start = separator or declared[1], 1
        content = content.partition("\n")[2]
    if separator is None:
        separator = _choose(_candidates(content, ended, start, requested), requested)
    reading = _read(content, ended, start, separator or _NO_SEPARATOR, requested)
    quoted = reading.dialect.quote and re.search(
        rf"(^|{re.escape(reading.dialect.separator)}) *{reading.dialect.quote}", content, re.MULTILINE
    )
    named = f"{separator_name(separator)}-separated" if separator else ""
    kind = named or "one column without a separator"
    if quoted:
        kind += " with quotes" if reading.dialect.quote == '"' else " with single quotes"
    elif not reading.dialect.quote:
        kind += " without quotes"
    doubtful = [row for row in reading.rows if row.lines > 2 and _holds_rows(reading, row, ended)]
    remarks = [
        f"the row in line {row.line:,} takes {row.lines:,} lines, each of which could be a row of its "
        "own: is there a quote too many?"
        for row in doubtful[:1]
    ]
    return Parsed(kind, reading.rows, reading.bad, width=reading.width, remarks=remarks)


def is_header(cells: Sequence[str], requested: Sequence[str]) -> bool:
    """Returns whether the cells hold a requested name, or usual names for a label and a text."""
    if any(name and not name.isdecimal() and name in cells for name in requested):
        return True
    known = [cell.lower() for cell in cells]
    return any(cell in LABEL_NAMES for cell in known) and any(cell in TEXT_NAMES for cell in known)


def cells_of(row: Row) -> list[str]:
    """Returns the cells of a row in order, trimmed."""
    return [str(cell).strip() for cell in row.cells]


def _holds_rows(reading: _Reading, row: Row, lines: list[str]) -> bool:
    """Returns whether all lines of a row, but for the first and the last, could be rows themselves."""
    inner = lines[row.line : row.line + row.lines - 2]
    return all(len(_cells(reading.dialect, line)) == reading.width for line in inner)


def _candidates(
    content: str, lines: list[str], start: int, requested: Sequence[str]
) -> list[_Reading]:
    """Returns the readings of the first records that have two columns or more."""
    separators = [separator for separator in SEPARATORS.values() if separator in content]
    readings = [_read(content, lines, start, one, requested, _SAMPLE) for one in separators]
    # Commas that cut most lines differently are those of sentences.
    return [
        reading
        for reading in readings
        if reading.width > 1 and (reading.share >= 0.5 or is_header(reading.first, requested))
    ]


def _choose(readings: list[_Reading], requested: Sequence[str]) -> str | None:
    """Returns the separator of the best reading, None where there is none.

    Raises ChargenError where several are equally good.
    """
    if not readings:
        return None
    names = {name for name in requested if not name.isdecimal()}
    if names:
        readings = [one for one in readings if names <= set(one.first)] or readings
    best = max(one.share for one in readings)
    readings = [one for one in readings if one.share >= best * _NEARLY]
    signs: tuple[Callable[[_Reading], bool], ...] = (
        lambda one: is_header(one.first, ()),
        lambda one: not _is_punctuated(one.rows),
        lambda one: one.dialect.quote != "" or not _has_loose_quotes(one.rows),
        lambda one: one.share == best,
        lambda one: one.dialect.separator == "\t",  # which texts hardly contain
        _has_repeats,
    )
    for sign in signs:
        readings = [one for one in readings if sign(one)] or readings
    if len(readings) > 1:
        shown = "; ".join(
            f"{separator_name(one.dialect.separator)}-separated, its first row is "
            + " and ".join(repr(cell[:40]) for cell in one.first)
            for one in readings
        )
        raise ChargenError(
            f"the table can be read in {len(readings)} ways: {shown}", "say which with {separator}"
        )
    return readings[0].dialect.separator


def _is_punctuated(rows: list[Row]) -> bool:
    """Returns whether a space follows every separator, as it does a comma in a sentence."""
    return all(cell[:1] in (" ", "") for row in rows for cell in islice(row.cells, 1, None))


def _has_loose_quotes(rows: list[Row]) -> bool:
    return any('"' in (cell[:1], cell[-1:]) for row in rows for cell in row.cells)


def _has_repeats(reading: _Reading) -> bool:
    """Returns whether a column could hold labels: its values repeat, and there are several."""
    for column in range(reading.width):
        values = {cells_of(row)[column] for row in reading.rows}
        if 1 < len(values) < len(reading.rows):
            return True
    return False


def _read(
    content: str,
    lines: list[str],
    start: int,
    separator: str,
    requested: Sequence[str],
    limit: int | None = None,
) -> _Reading:
    """Reads up to `limit` records in the dialect that leaves the fewest lines unread."""
    doubled = _Dialect(separator)
    dialects = [doubled]
    if "'" in content and _all_in_single_quotes(lines[start:]):
        dialects.insert(0, _Dialect(separator, "'"))
    if '"' in content and re.search(re.escape(separator) + ' +"', content):
        dialects.append(_Dialect(separator, padded=True))
    if "\\" + separator in content or '\\"' in content:
        dialects.append(_Dialect(separator, escape=True))
    readings: list[_Reading] = []
    for dialect in dialects:
        readings.append(_read_as(dialect, lines, start, requested, limit))
        if not readings[-1].bad:
            return readings[-1]
    quoted = min(readings, key=lambda one: one.bad_lines)
    if separator in ",;" or '"' not in content:
        return quoted
    # Without quotes, every line is a row, so with as few faults that is the better reading, unless
    # more rows show a spreadsheet's quotes than break them.
    plain = _read_as(_Dialect(separator, quote=""), lines, start, requested, limit)
    shown = sum(row.lines > 1 or _has_doubled_quotes(row, lines) for row in quoted.rows)
    return quoted if quoted.bad_lines < plain.bad_lines or shown > len(quoted.bad) else plain


def _has_doubled_quotes(row: Row, lines: list[str]) -> bool:
    return '""' in lines[row.line - 1] and any('"' in cell for cell in row.cells)


def _all_in_single_quotes(lines: list[str]) -> bool:
    return all(line[:1] == "'" and line[-2:-1] == "'" for line in lines if line.strip())


def _read_as(
    dialect: _Dialect, lines: list[str], start: int, requested: Sequence[str], limit: int | None
) -> _Reading:
    """Reads up to `limit` records in one dialect."""
    records = list(islice(_records(dialect, lines, start), limit))
    width = _width(records, requested)
    if any(isinstance(row, Row) and row.lines > 1 and len(row.cells) != width for row in records):
        records = list(islice(_records(dialect, lines, start, width), limit))
    rows: list[Row] = []
    bad: list[BadRow] = []
    named = any(isinstance(row, Row) and is_header(cells_of(row), requested) for row in records[:1])
    others = "the header has" if named else "the others have"
    for record in records:
        if isinstance(record, BadRow):
            bad.append(record)
        elif len(record.cells) == width:
            rows.append(record)
        elif len(record.cells) > width and not any(cells_of(record)[width:]):
            rows.append(Row(record.line, record.lines, list(record.cells)[:width]))
        else:
            reason = f"{len(record.cells)} columns, where {others} {width}"
            bad.append(BadRow(record.line, record.lines, reason))
    return _Reading(dialect, rows, bad, width)


def _width(records: Sequence[Row | BadRow], requested: Sequence[str]) -> int:
    """Returns the number of columns: that of the header, if the first row is one, or of most rows."""
    rows = [record for record in records if isinstance(record, Row)]
    if rows and is_header(cells_of(rows[0]), requested):
        return len(rows[0].cells)
    widths = Counter(len(row.cells) for row in rows)
    return max(widths, key=lambda width: (widths[width], width > 1), default=0)


def _records(
    dialect: _Dialect, lines: list[str], start: int, width: int | None = None
) -> Iterator[Row | BadRow]:
    """Yields the records from line `start` (from 0) on, blank lines left out.

    A quote that is never closed runs on to the next one, or to the end. It costs its own line alone:
    where a record breaks, reading goes on at its second line. So it does after a record that took
    several lines and has not `width` cells, if most of the other lines have as many by themselves; the
    line that closed the quote is bad then, too.
    """
    reader, position, base, closing = dialect.read(lines, start), start, start, -1
    while position < len(lines):
        cells, fault = [], ""
        try:
            cells = next(reader)
        except csv.Error as error:
            fault = f"bad quoting ({error})"
        count = base + reader.line_num - position
        if position == closing:
            fault = "bad quoting (a quote is closed that is not open)"
        elif count > 1 and width and len(cells) != width and not fault:
            inner = [_cells(dialect, lines[i]) for i in range(position + 1, position + count)]
            if 2 * sum(len(one) == width for one in inner) > len(inner):
                fault, closing = "bad quoting (a quote is not closed)", position + count - 1
        if fault:
            yield BadRow(position + 1, 1, fault)
            position += 1
            reader, base = dialect.read(lines, position), position
            continue
        blank = count == 1 and not lines[position].strip() and dialect.separator not in lines[position]
        if not blank:
            yield Row(position + 1, count, cells)
        position += count


def _cells(dialect: _Dialect, line: str) -> list[str]:
    try:
        cells: list[str] = next(dialect.read([line], 0))
    except csv.Error:
        return []
    return cells
