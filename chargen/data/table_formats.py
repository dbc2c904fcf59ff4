"""The rows of tables that are not delimited: JSON in its usual forms, and fastText's format.

A fault costs the line that it is in: reading goes on at the next line that holds a row.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice
from typing import Any

from chargen.errors import ChargenError

_SAMPLE = 100  # lines that tell one format from another
_LONG = 1 << 16  # characters
_GAP = re.compile(r"[\s,]*")
_NEXT = re.compile(r"\}[ \t]*,[ \t]*(?=\{)")
_OBJECT = re.compile(r'\s*\{\s*["}]')
_ARRAY = re.compile(r"\s*\[\s*(?=\{)")
_PLAIN = r'(?:"[^"\\]*"|[\w.+-]+)'
_WRAPPED = re.compile(rf'\s*\{{\s*(?:"[^"\\]*"\s*:\s*{_PLAIN}\s*,\s*)*("[^"\\]*")\s*:\s*\[\s*(?=\{{)')
_FASTTEXT = re.compile(r"(?:^|(?<=\s))__label__(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row, in order or by the keys of JSON, and the lines that it takes."""

    line: int  # the first one, from 1
    lines: int  # count
    cells: list[str] | dict[str, Any]
    entry: int = 0  # among the objects of JSON, from 1, where several share a line


@dataclass(frozen=True, slots=True)
class BadRow:
    """Lines that cannot be used, and the reason."""

    line: int  # the first one, from 1
    lines: int  # count
    reason: str
    entry: int = 0  # as in `Row`


@dataclass
class Parsed:
    """The rows of a content.

    A line that is in no row, in no bad row and not in the header is blank, or holds nothing but what
    surrounds the rows: the brackets of JSON, or a line such as "sep=;".
    """

    format: str  # for a person
    rows: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the columns, where the format has them
    width: int = 0  # columns
    header: Row | None = None
    remarks: list[str] = field(default_factory=list)  # for a person, beyond the format


def read_fasttext(lines: list[str]) -> Parsed | None:
    """Reads lines such as "__label__pos good day"; returns None for another format.

    The first label of a line counts.
    """
    sample = list(islice(filter(str.strip, lines), _SAMPLE))
    labels = [match for line in sample if (match := _FASTTEXT.search(line))]
    leading = sum(not match.start() for match in labels)
    everywhere = len(labels) == len(sample) and not any("\t" in line for line in sample)
    # "__label__pos,good day" is a delimited row.
    separated = sum(re.search(r"[,;|]", match[1]) is not None for match in labels)
    if not labels or not _FASTTEXT.search(sample[0]) or 2 * separated > len(labels):
        return None
    if not everywhere and 2 * leading <= len(sample):
        return None
    parsed, several = Parsed("fastText's format", names=["label", "text"], width=2), 0
    for number, line in enumerate(lines, start=1):
        if tokens := _FASTTEXT.findall(line):
            parsed.rows.append(Row(number, 1, [tokens[0], _FASTTEXT.sub("", line)]))
            several += len(tokens) > 1
        elif line.strip():
            parsed.bad.append(BadRow(number, 1, "no label (__label__…)"))
    if several:
        parsed.remarks.append(f"{several:,} lines have several labels: the first one is taken")
    return parsed


def read_json(content: str, lines: list[str]) -> Parsed | None:
    """Reads JSON lines, an array of objects, or an object that holds the rows or the columns.

    Returns None for a content that is none of them. Raises ChargenError for an array of anything but
    objects, and for an object that holds several lists of rows.
    """
    if match := _ARRAY.match(content):
        return _scan("a JSON array of objects", content, match.end())
    sample = list(islice(filter(str.strip, lines), _SAMPLE))
    opened = [line for line in sample if _OBJECT.match(line)]
    decoded = sum(isinstance(_decode_line(line)[0], dict) for line in opened)
    start = len(content) - len(content.lstrip())
    wrapped = None if not sample or _decode_line(sample[0])[0] else _WRAPPED.match(content)
    several = len(sample) > 1 and not wrapped
    if several and decoded and 2 * decoded >= len(opened) and 2 * len(opened) >= len(sample):
        return _json_lines(lines)
    if content[start : start + 1] in ("{", "["):
        document, end, _ = _decode(content, start)
        alone = not content[end:].strip()
        if isinstance(document, dict):
            if alone:
                return _document(document, content, len(lines))
            return _scan("JSON objects one after another", content, start)
        if isinstance(document, list) and alone:
            raise ChargenError(
                "this is a JSON array, but not of objects", 'give rows such as {"text": …, "label": …}'
            )
    if wrapped:
        return _scan(_within(wrapped[1]), content, wrapped.end())
    return _json_lines(lines) if opened and len(opened) == len(sample) else None


def _json_lines(lines: list[str]) -> Parsed:
    """Reads an object from each line."""
    parsed, names = Parsed("JSON lines"), dict[str, None]()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        value, fault = _decode_line(line)
        if isinstance(value, dict):
            parsed.rows.append(Row(number, 1, value))
            names.update(dict.fromkeys(value))
        else:
            parsed.bad.append(BadRow(number, 1, fault or "not a JSON object"))
    return _named(parsed, names)


def _document(document: dict[str, Any], content: str, count: int) -> Parsed:
    """Reads one JSON object of `count` lines: it holds the rows, holds the columns, or is a row."""
    lists = [key for key, value in document.items() if _holds_objects(value)]
    if len(lists) > 1:
        raise ChargenError(
            f"several keys hold rows: {', '.join(map(repr, lists))}", "give a file for each of them"
        )
    if lists:
        for match in re.finditer(r'("(?:[^"\\]|\\.)*")\s*:\s*\[', content):
            start = match.end() - 1
            rows, end, _ = _decode(content, start)
            if json.loads(match[1], strict=False) == lists[0] and rows == document[lists[0]]:
                return _scan(_within(match[1]), content, start + 1, end - 1)
    columns = {key: value for key, value in document.items() if isinstance(value, list)}
    # pandas numbers the cells of a column: {"text": {"0": "fine", "1": "bad"}, …}.
    numbered = {key: value for key, value in document.items() if isinstance(value, dict)}
    if not columns and len(numbered) > 1:
        indices = dict.fromkeys(index for cells in numbered.values() for index in cells)
        columns = {key: [cells.get(i) for i in indices] for key, cells in numbered.items()}
    if len(columns) < 2 or 2 * len(columns) <= len(document) or not any(columns.values()):
        return _named(Parsed("JSON lines", [Row(1, count, document)]), dict.fromkeys(document))
    rows = [
        {key: cells[i] for key, cells in columns.items() if i < len(cells)}
        for i in range(max(map(len, columns.values())))
    ]
    entries = [Row(1, count, row, number) for number, row in enumerate(rows, start=1)]
    return _named(Parsed("a JSON object of columns", entries), dict.fromkeys(columns))


def _scan(format: str, content: str, start: int, end: int | None = None) -> Parsed:
    """Reads the objects between two positions, one or several in a line, or each in several lines.

    After one that cannot be read, goes on at the next object in its line, or else at the next line
    that begins an object, indented no further than the first one.
    """
    starts = [0, *accumulate(len(line) + 1 for line in content.split("\n"))]
    end = len(content) if end is None else end
    column = start - starts[bisect_right(starts, start) - 1]
    following = re.compile(rf"\n[ \t]{{0,{column}}}(?=\{{)")
    parsed, names = Parsed(format), dict[str, None]()
    entry, position, next_line, last, shared = 0, start, start, 0, False
    while (position := _skip(content, position)) < end:
        if content[position] in "]}":
            position += 1
            continue
        line, entry = bisect_right(starts, position), entry + 1
        shared = shared or line == last
        if position >= next_line:
            match = following.search(content, position, end)
            next_line = match.start() + 1 if match else end
        value, after, fault = _decode_between(content, position, next_line, end)
        if fault:
            number = bisect_right(starts, after)
            fault = f"not JSON ({fault} at line {number}, column {after - starts[number - 1] + 1})"
            beside = _NEXT.search(content, after, next_line)
            after = beside.end() if beside else next_line
        last = bisect_right(starts, after - 1)
        if isinstance(value, dict):
            parsed.rows.append(Row(line, last - line + 1, value, entry))
            names.update(dict.fromkeys(value))
        else:
            fault = fault or "not a JSON object"
            parsed.bad.append(BadRow(line, last - line + 1, fault, entry))
        position = after
    if not shared:  # the line says which object it is
        parsed.rows = [replace(row, entry=0) for row in parsed.rows]
        parsed.bad = [replace(row, entry=0) for row in parsed.bad]
    return _named(parsed, names)


def _named(parsed: Parsed, names: dict[str, None]) -> Parsed:
    parsed.names, parsed.width = list(names), len(names)
    return parsed


def _within(key: str) -> str:
    return f"the JSON objects in {json.loads(key, strict=False)!r}"


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _skip(content: str, position: int) -> int:
    match = _GAP.match(content, position)
    return match.end() if match else position


def _decode_line(line: str) -> tuple[Any, str]:
    """Returns the JSON value that a line holds, or None and the reason."""
    text = line.strip().rstrip(",")
    value, end, fault = _decode(text)
    if not fault and end < len(text):
        value, fault = None, "More text after the value"
    return value, f"not JSON ({fault} at column {end + 1})" if fault else ""


def _decode_between(content: str, start: int, stop: int, end: int) -> tuple[Any, int, str]:
    """Returns the JSON value at `start` and its end; or None, where a fault is, and the fault.

    The value is looked for before `stop`, and further on where it does not end there. Only a long part
    is not copied: a fault takes the longer to describe, the more text is before it.
    """
    while stop - start < _LONG:
        value, size, fault = _decode(content[start:stop])
        if not fault or stop >= end or size < stop - start - 2:  # a newline and a comma may be behind
            return value, start + size, fault
        stop = min(end, 2 * stop - start + 1)
    return _decode(content, start)


def _decode(text: str, start: int = 0) -> tuple[Any, int, str]:
    """Returns the JSON value at `start` and its end; or None, where a fault is, and the fault."""
    try:
        return *_DECODER.raw_decode(text, start), ""
    except json.JSONDecodeError as error:
        return None, error.pos, error.msg
    except (ValueError, RecursionError) as error:
        return None, start, str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object of JSON; raises ValueError for a key that comes twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
