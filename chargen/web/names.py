"""Names of models: folders in the checkpoints folder, in the letters of any language."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from chargen.errors import ChargenError

MAX_LENGTH = 60  # characters
_MAX_BYTES = 200  # of the folder's name, which file systems limit to 255 with all endings
_PUNCTUATION = set(" ._-'’+,()")
_JOINERS = "\u200c\u200d"  # which Persian and the scripts of India spell with
_WINDOWS = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)(\..*)?$")  # devices, not files


def checked_name(requested: str) -> str:
    """Returns a name in Unicode's composed form, without white space around it.

    Raises ChargenError for one that is dangerous as the name of a folder: a path, a hidden file, an
    option, a device, or one with characters that cannot be seen.
    """
    name = unicodedata.normalize("NFC", requested.strip())
    sound = name and all(map(_is_sound, name)) and name[0] not in " .-~" and name[-1] not in " ."
    long = len(name) > MAX_LENGTH or len(name.encode(errors="replace")) > _MAX_BYTES
    if not sound or long or _WINDOWS.match(name):
        shown = requested if len(requested) <= 2 * MAX_LENGTH else requested[:MAX_LENGTH] + "…"
        raise ChargenError(
            f"{shown!r} cannot be a name; use letters, digits, spaces, dots and dashes, "
            f"{MAX_LENGTH} at most, and begin with a letter or a digit"
        )
    return name


def free_name(folder: Path, requested: str) -> str:
    """Returns `checked_name`, with a number where the folder already holds something of that name."""
    base = checked_name(requested)
    name, number = base, 1
    while (folder / name).exists():
        number += 1
        name = checked_name(f"{base[: MAX_LENGTH - 8].strip()}-{number}")
    return name


def name_for(path: str) -> str:
    """Returns a name for the model that is trained on a file."""
    stem = unicodedata.normalize("NFC", Path(path).stem)
    characters = [character if _is_sound(character) else "-" for character in stem]
    name = "".join(characters).strip("-. ~")[:50].rstrip("-. ")
    try:
        return checked_name(name)
    except ChargenError:
        return "my text"


def _is_sound(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "LMN" or kind == "So" or character in _PUNCTUATION or character in _JOINERS
