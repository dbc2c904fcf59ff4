"""Properties of every character of a text, such as being inside quotes or the position in the line.

Each property is a number per character that is known once the character has been read: the inside of
a quotation begins at its opening mark. Only the position in the line looks ahead, to the line's end.
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
_FAR = 100  # characters since the newline; larger distances count as this one

# A string as most languages write it. A quote after a letter is an apostrophe, but a string after a
# prefix such as r or f.
_STRING = (
    r'(?<!\w)[rbfuRBFU]{{0,2}}(?P<quote>"""|\'\'\')[\s\S]*?(?:(?P=quote)|\Z)'
    r'|"(?:\\[\s\S]|[^"\\\n])*(?:"|\n|\Z)'
    r"|(?<!\w)[rbfuRBFU]{{0,2}}'(?:\\[\s\S]|[^'\\\n])*(?:'|\n|\Z)"
    r"|(?P<comment>{comment})"
)
_HASH, _SLASH = r"#[^\n]*", r"//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)"


def properties(text: str) -> dict[str, Property]:
    """Returns the properties by name, each an array (characters,)."""
    size = len(text)
    characters = np.array(list(text), dtype="<U1") if size else np.zeros(0, "<U1")
    newline = characters == "\n"
    column = _distance_since(newline)
    indent, indenting = _indentation(text)
    strings, comments = _strings_and_comments(text)
    word, capital, capitals = _words(text)
    base = np.array([unicodedata.normalize("NFD", c)[0].lower() for c in text] or [""])
    return {
        "inside a string or comment": np.maximum(strings, comments),
        "inside a string": strings,
        "inside a comment": comments,
        "inside quotes": _inside_matches(_QUOTED, text),
        "inside brackets": _brackets(text),
        "indentation of the line": indent,
        "in the indentation": indenting,
        "position in the line": _share_of_line(newline),
        "distance since newline": np.minimum(column, _FAR),
        "position in the word": word,
        "in a capitalised word": capital,
        "in a word of capitals": capitals,
        "vowel": np.isin(base, list("aeiouyаеиоуыэюяαεηιουω")).astype(float)[:size],
        "digit": np.array([c.isdigit() for c in text], float),
        "white space": np.array([c.isspace() for c in text], float),
    }


def _distance_since(marks: npt.NDArray[np.bool_]) -> Property:
    """Counts the characters since the last mark, or since the beginning of the text."""
    positions = np.arange(len(marks))
    last = np.maximum.accumulate(np.where(marks, positions, -1))
    return (positions - last).astype(float)


def _share_of_line(newline: npt.NDArray[np.bool_]) -> Property:
    """Returns the share of its line that precedes each character, from 0 to 1."""
    positions = np.arange(len(newline))
    after_newline = np.concatenate([[False], newline])[: len(newline)]
    starts = positions - _distance_since(after_newline)
    ends = np.where(newline, positions, len(newline))
    ends = np.minimum.accumulate(ends[::-1])[::-1]
    return (positions - starts) / np.maximum(1, ends - starts)


def _inside_matches(pattern: re.Pattern[str], text: str) -> Property:
    """Returns 1 from the first character of each match to the one before its last, else 0."""
    inside = np.zeros(len(text))
    for match in pattern.finditer(text):
        inside[match.start() : match.end() - 1] = 1
    return inside


def _strings_and_comments(text: str) -> tuple[Property, Property]:
    """Returns 1 inside strings, and 1 inside comments, in the syntax that the text seems to use."""
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
    """Counts the open brackets; an empty line closes all of them."""
    steps = np.zeros(len(text))
    for opening, closing in ("()", "[]", "{}"):
        for match in re.finditer(f"[{re.escape(opening + closing)}]", text):
            steps[match.start()] = 1 if match[0] == opening else -1
    depth = np.zeros(len(text))
    edges = [0, *(match.end() for match in _PARAGRAPH.finditer(text)), len(text)]
    for start, end in pairwise(edges):
        sums = np.cumsum(steps[start:end])
        lowest = np.minimum(np.minimum.accumulate(sums), 0) if end > start else sums
        depth[start:end] = sums - lowest  # an unmatched closing bracket is ignored
    return depth


def _indentation(text: str) -> tuple[Property, Property]:
    """Returns the columns of indentation read so far in the line, and 1 inside the indentation."""
    indent, indenting = np.zeros(len(text)), np.zeros(len(text))
    for match in re.finditer(r"^[ \t]+", text, re.M):
        columns = 0
        for position in range(match.start(), match.end()):
            columns += _TAB if text[position] == "\t" else 1
            indent[position] = columns
        end = text.find("\n", match.end())
        indent[match.end() : len(text) if end < 0 else end] = columns
        indenting[match.start() : match.end()] = 1
    return indent, indenting


def _words(text: str) -> tuple[Property, Property, Property]:
    """Returns three properties of the word that each letter belongs to, as far as it has been read.

    The number of its letters so far; 1 where it begins with a capital; 1 from its second letter on, as
    long as all its letters are capitals.
    """
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
