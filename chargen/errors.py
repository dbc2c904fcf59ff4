"""The one exception whose message is meant for a person, and the system's errors turned into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Steps that Python takes by calling something; every other name is that of a parameter.
_IN_PYTHON = {
    "corpus": "Copies.of",
    "max_copy": "Copies.limit",
    "out": "folder",
    "resume": "Run.resume",
    "skip_unknown": "tokenizer.adapt(text, skip=True)",
    "train": "TextGenerator.train",
}


class ChargenError(ValueError):
    """Raised for something that a person typed or gave and that cannot be used.

    `message` says what is wrong and shows the value, `hint` gives the next step. What a person would
    change stands in the hint in braces, in the library's terms: "take a smaller {hidden_size}". Each
    door has its own name for it: `--hidden` on the command line, a label on the page. The command line
    and the page print the text as it is; any other exception is a defect of chargen.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return self.text()

    def text(self, name: Callable[[str], str | None] = lambda term: _IN_PYTHON.get(term, term)) -> str:
        """Returns the message and the hint, each of its terms by `name` of one door.

        A hint is left out where the door has no name for one of its terms.
        """
        names = {term: name(term) for term in re.findall(r"\{(\w+)\}", self.hint)}
        if not self.hint or None in names.values():
            return self.message
        hint = re.sub(r"\{(\w+)\}", lambda match: str(names[match[1]]), self.hint)
        return f"{self.message}; {hint}"

    def within(self, context: str) -> ChargenError:
        """Returns the same error with what it is about in front, such as the file."""
        return ChargenError(f"{context}: {self.message}", self.hint)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says of a place that cannot be written into one sentence."""
    try:
        yield
    except OSError as error:
        raise ChargenError(f"{path} cannot be written: {error.strerror or error}") from error
