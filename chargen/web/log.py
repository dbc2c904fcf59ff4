"""One line on standard error for an error that nobody sees who could mend it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import chargen

_PACKAGE = str(Path(chargen.__file__).parent)
_LENGTH = 500  # characters of a line: a message may quote all that a visitor sent


def report(subject: str, error: BaseException) -> None:
    """Writes what failed, why, and the lines of chargen that led there, or else the last line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(_PACKAGE)]
    places = " > ".join(f"{Path(f.filename).name}:{f.lineno}" for f in own[1:] or frames[-1:])
    cause = f"{type(error).__name__}: {error}"[:_LENGTH]
    sys.stderr.write(f"{subject[:_LENGTH]!r} failed at {places}: {cause!r}\n")
