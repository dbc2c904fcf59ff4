"""Encodings of a file that is not in UTF-8, as a visitor can choose among them."""

from __future__ import annotations

import codecs
from pathlib import Path

from chargen.errors import ChargenError

UTF_8 = "utf-8"
# By what a visitor reads in the menu. The first ones are tried first.
ENCODINGS = {
    "UTF-8": UTF_8,
    "Western European (Windows-1252)": "cp1252",
    "Central European (Windows-1250)": "cp1250",
    "Cyrillic (Windows-1251)": "cp1251",
    "Cyrillic (KOI8-R)": "koi8-r",
    "Greek (Windows-1253)": "cp1253",
    "Turkish (Windows-1254)": "cp1254",
    "Hebrew (Windows-1255)": "cp1255",
    "Arabic (Windows-1256)": "cp1256",
    "Baltic (Windows-1257)": "cp1257",
    "Vietnamese (Windows-1258)": "cp1258",
    "Japanese (Shift JIS)": "cp932",
    "Japanese (EUC-JP)": "euc-jp",
    "Chinese, simplified (GB 18030)": "gb18030",
    "Chinese, traditional (Big5)": "big5",
    "Korean (EUC-KR)": "cp949",
    "UTF-16": "utf-16",
    "DOS, Western European (850)": "cp850",
    "Mac, Western European": "mac-roman",
    "Latin-1": "latin-1",
}
_SHOWN = 120  # characters of a line
_SAMPLE = 1 << 20  # bytes that the first guess is made by


def is_other_encoding(error: ChargenError) -> bool:
    """Returns whether an error says that a file is in another encoding than the one it was read in."""
    return "{encoding}" in error.hint


def guess(path: str) -> str:
    """Returns the first encoding of the menu in which a file can be read."""
    with Path(path).open("rb") as file:
        head = file.read(_SAMPLE)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ENCODINGS.values():
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeError:
            continue
        if encoding != UTF_8:  # which has failed further on
            return encoding
    return "latin-1"


def telling_line(text: str) -> str:
    """Returns the first line that shows whether the encoding is right: one with more than ASCII."""
    line = next((line for line in text.split("\n") if not line.isascii()), text.split("\n", 1)[0])
    line = line.strip()
    if len(line) <= _SHOWN:
        return line
    start = next((i for i, character in enumerate(line) if not character.isascii()), 0)
    start = max(0, start - _SHOWN // 2)
    return ("…" if start else "") + line[start : start + _SHOWN] + "…"
