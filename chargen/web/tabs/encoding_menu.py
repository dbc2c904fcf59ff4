"""The menu for the encoding of an uploaded file, which appears where a file is not in UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError
from chargen.web import html
from chargen.web.encodings import ENCODINGS, UTF_8, guess, is_other_encoding, telling_line
from chargen.web.gradio_setup import gr
from chargen.web.labels import LABELS
from chargen.web.uploads import read_text

HIDDEN: Any = {"value": UTF_8, "visible": False}


def encoding_menu(elem_id: str) -> gr.Dropdown:
    """Lays the menu out in the block that is open."""
    return gr.Dropdown(
        list(ENCODINGS.items()),
        value=UTF_8,
        label=LABELS["encoding"],
        info="Choose the one in which the line below reads well.",
        visible=False,
        elem_id=elem_id,
    )


def find_encoding(path: str | None, describe: Callable[[str, str], str]) -> list[Any]:
    """Returns an update of the menu for a new file, and what `describe` says of the file in it.

    `describe` gets the path and an encoding, and raises ChargenError.
    """
    if not path:
        return [gr.update(**HIDDEN), ""]
    try:
        return [gr.update(**HIDDEN), describe(path, UTF_8)]
    except ChargenError as error:
        if not is_other_encoding(error):
            return [gr.update(**HIDDEN), html.error_note(error)]
    encoding = guess(path)
    return [gr.update(value=encoding, visible=True), in_encoding(path, encoding, describe)]


def in_encoding(path: str | None, encoding: str, describe: Callable[[str, str], str]) -> str:
    """Returns what `describe` says of a file in an encoding, after a line of the file in it."""
    if not path:
        return ""
    try:
        if encoding not in ENCODINGS.values():
            raise ChargenError(f"there is no encoding {encoding!r} in the menu")
        preview = ""
        if encoding != UTF_8:
            line = telling_line(read_text(path, encoding))
            message = (
                f"{Path(path).name} is not in UTF-8. In the chosen encoding, one line of it reads:"
            )
            preview = html.note(message) + html.line(line)
        return preview + describe(path, encoding)
    except ChargenError as error:
        if is_other_encoding(error):
            error = ChargenError(
                f"{Path(path).name} cannot be read in this encoding; choose another one"
            )
        return html.error_note(error)
