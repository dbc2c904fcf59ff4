"""The one exception whose message is meant for the person at the keyboard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ChargenError(ValueError):
    """Something a person typed or gave cannot be used.

    The message says what is wrong, shows the value, and gives the next step. The command line and
    the web page print it as it is; any other exception is a defect of chargen.
    """


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says of a place that cannot be written into one sentence."""
    try:
        yield
    except OSError as error:
        raise ChargenError(f"{path} cannot be written: {error.strerror or error}") from error
