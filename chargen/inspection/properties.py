"""What can be said of every character of a text: whether it is inside quotes, how far into its line.

Each property is a number for every character, known when the character has been read: a quote counts
as inside from its first mark on.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Property = npt.NDArray[np.float64]  # (characters,)

_QUOTED = re.compile(r'"[^"]*?(?:"|\n\s*\n|\Z)|“[^”]*?(?:”|\n\s*\n|\Z)|«[^»]*?(?:»|\n\s*\n|\Z)')
_WORD = re.compile(r"[^\W\d_]+")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_TAB = 4  # columns
_FAR = 100  # characters since the newline, from which on it is all the same

# A string as most languages write it; a quote behind a letter is an apostrophe, behind a prefix not.
_STRING = (
    r'(?<!\w)[rbfuRBFU]{{0,2}}(?P<quote>"""|\'\'\')[\s\S]*?(?:(?P=quote)|\Z)'
    r'|"(?:\\[\s\S]|[^"\\\n])*(?:"|\n|\Z)'
    r"|(?<!\w)[rbfuRBFU]{{0,2}}'(?:\\[\s\S]|[^'\\\n])*(?:'|\n|\Z)"
    r"|(?P<comment>{comment})"
)
_HASH, _SLASH = r"#[^\n]*", r"//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)"


def properties(text: str) -> dict[str, Property]:
    """By name; each is an array as long as the text."""
    size = len(text)
    characters = np.array(list(text), dtype="<U1") if size else np.zeros(0, "<U1")
    newline = characters == "\n"
    column = _since(newline)
    indent, indenting = _indentation(text)
    strings, comments = _code(text)
    word, capital, capitals = _words(text)
    base = np.array([unicodedata.normalize("NFD", c)[0].lower() for c in text] or [""])
    return {
        "inside a string or comment": np.maximum(strings, comments),
        "inside a string": strings,
        "inside a comment": comments,
        "inside quotes": _spans(_QUOTED, text),
        "inside brackets": _brackets(text),
        "indentation of the line": indent,
        "in the indentation": indenting,
        "position in the line": _share(newline),
        "distance since newline": np.minimum(column, _FAR),
        "position in the word": word,
        "in a capitalised word": capital,
        "in a word of capitals": capitals,
        "vowel": np.isin(base, list("aeiouyаеиоуыэюяαεηιουω")).astype(float)[:size],
        "digit": np.array([c.isdigit() for c in text], float),
        "white space": np.array([c.isspace() for c in text], float),
    }


def _since(marks: npt.NDArray[np.bool_]) -> Property:
    """How many characters ago the last mark was, or the beginning."""
    places = np.arange(len(marks))
    last = np.maximum.accumulate(np.where(marks, places, -1))
    return (places - last).astype(float)


def _share(newline: npt.NDArray[np.bool_]) -> Property:
    """How much of its line is behind each character, from 0 to 1."""
    places = np.arange(len(newline))
    starts = places - _since(np.concatenate([[False], newline])[:-1]) if len(newline) else places
    ends = np.where(newline, places, len(newline))
    ends = np.minimum.accumulate(ends[::-1])[::-1]
    return (places - starts) / np.maximum(1, ends - starts)


def _spans(pattern: re.Pattern[str], text: str) -> Property:
    """1 from the first character of each match to the one before its last."""
    inside = np.zeros(len(text))
    for match in pattern.finditer(text):
        inside[match.start() : match.end() - 1] = 1
    return inside


def _code(text: str) -> tuple[Property, Property]:
    """Inside a string, and inside a comment, as the language seems to write them."""
    slashes = text.count(";\n") > text.count(":\n")
    pattern = re.compile(_STRING.format(comment=_SLASH if slashes else _HASH))
    strings, comments = np.zeros(len(text)), np.zeros(len(text))
    for match in pattern.finditer(text):
        if match["comment"] is not None:
            comments[match.start() : match.end()] = 1
        else:
            first = match.start() + re.search("[\"']", match[0]).start()  # type: ignore[union-attr]
            strings[first : match.end() - 1] = 1
    return strings, comments


def _brackets(text: str) -> Property:
    """How many are open; an empty line closes all."""
    steps = np.zeros(len(text))
    for opening, closing in ("()", "[]", "{}"):
        for match in re.finditer(f"[{re.escape(opening + closing)}]", text):
            steps[match.start()] = 1 if match[0] == opening else -1
    depth = np.zeros(len(text))
    edges = [0, *(match.end() for match in _PARAGRAPH.finditer(text)), len(text)]
    for start, end in pairwise(edges):
        sums = np.cumsum(steps[start:end])
        lowest = np.minimum(np.minimum.accumulate(sums), 0) if end > start else sums
        depth[start:end] = sums - lowest  # a closing one without an opening one counts for nothing
    return depth


def _indentation(text: str) -> tuple[Property, Property]:
    """Columns that the line is indented by, as far as it has been read; and whether still in there."""
    indent, indenting = np.zeros(len(text)), np.zeros(len(text))
    for match in re.finditer(r"^[ \t]+", text, re.M):
        columns = 0
        for place in range(match.start(), match.end()):
            columns += _TAB if text[place] == "\t" else 1
            indent[place] = columns
        end = text.find("\n", match.end())
        indent[match.end() : len(text) if end < 0 else end] = columns
        indenting[match.start() : match.end()] = 1
    return indent, indenting


def _words(text: str) -> tuple[Property, Property, Property]:
    """How many letters of its word have been read; whether it began with a capital; has only such."""
    position, capital, capitals = np.zeros(len(text)), np.zeros(len(text)), np.zeros(len(text))
    for match in _WORD.finditer(text):
        start, end = match.span()
        position[start:end] = np.arange(1, end - start + 1)
        if match[0][0].isupper():
            capital[start:end] = 1
            lower = next((i for i, c in enumerate(match[0]) if not c.isupper()), end - start)
            if lower > 1:
                capitals[start + 1 : start + lower] = 1
    return position, capital, capitals
