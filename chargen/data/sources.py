"""The text that a person gives in Python: a string, bytes, a path, or a `Text`."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

from chargen.arguments import shown
from chargen.data.text import Text
from chargen.errors import ChargenError

Source = str | bytes | os.PathLike[str] | Text  # what `open_text` takes
# A name such as "poems.txt", of a file that may be somewhere else.
_FILE_NAME = re.compile(r"\S+\.(txt|text|md|csv|tsv|json|jsonl|py|html|xml|tex|log)")


def open_text(source: Any, *, literal: bool = False) -> Text:
    """Returns the `Text` of a string, of bytes in UTF-8, of a path, or the one that is given.

    Raises ChargenError for anything else, and unless `literal`, for a string that is the name of a
    file: whoever wrote it may have meant the file.
    """
    if isinstance(source, Text):
        return source
    if isinstance(source, os.PathLike):
        return Text.open([os.fspath(source)])
    if isinstance(source, bytes | bytearray):
        data = bytes(source)
        return Text("text", (("the text", lambda: io.BytesIO(data)),))
    if isinstance(source, str):
        if not literal:
            _refuse_file_name(source)
        return Text.from_string(source)
    if hasattr(source, "read"):
        path = getattr(source, "name", "corpus.txt")
        raise ChargenError("the text is an open file", f"give its path: Path({path!r})")
    if isinstance(source, list | tuple) and all(isinstance(one, str) for one in source):
        raise ChargenError(
            f"the text is a list of {len(source):,} strings",
            'give one string, for example "\\n".join(texts), and to learn where each ends, '
            'TextGenerator.new(…, split_on="line")',
        )
    raise ChargenError(
        f"the text must be a string, got {shown(source)}",
        "give a string, a Path, or Text.open([path])",
    )


def _refuse_file_name(text: str) -> None:
    """Raises ChargenError for a string that is the name of a file or of a folder."""
    literal = f"Text.from_string({text!r}) for these {len(text)} characters themselves"
    if "\n" in text or len(text) > 4096:
        return
    if os.path.isfile(text):
        raise ChargenError(
            f"{text!r} is a file, and could be meant as its name",
            f"give Path({text!r}) to read it, or {literal}",
        )
    if re.search(r"[/\\]", text) and len(text) > 1 and os.path.isdir(text):
        raise ChargenError(
            f"{text!r} is a folder, and could be meant as its name",
            f"give Path({text!r}) to read its text files, or {literal}",
        )
    if _FILE_NAME.fullmatch(text):
        raise ChargenError(
            f"{text!r} looks like the name of a file, but there is no such file in {Path.cwd()}",
            f"give the path of a file that is there, or {literal}",
        )
