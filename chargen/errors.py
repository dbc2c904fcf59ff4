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


class DeviceError(ChargenError):
    """Raised where memory does not suffice or a device fails.

    Of several processes that train together, only the one that it befell can tell.
    """


SMALLER_TRAINING = "{batch}, {window} or {hidden_size}"  # what to take a smaller one of

_MEMORY = re.compile(
    r"out of memory|not enough memory|(un|not )able to allocate|allocate memory|bad_alloc"
    r"|ALLOC_FAILED|start new thread|map segment from shared object(?!: Operation)",
    re.IGNORECASE,
)
_GPU = re.compile(r"\bCU(DA|BLAS|DNN|SPARSE|SOLVER)|\bNCCL|\bHIP|\bMPS", re.I)


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, or the name of its type.

    The place in torch's own sources, which may stand in front, is left out.
    """
    line = next(iter(str(error).strip().splitlines()), "")
    return re.sub(r"^\[[^]]*:\d+\] *", "", line).rstrip(" .:;") or type(error).__name__


def device_error(error: BaseException, smaller: str = "model") -> DeviceError | None:
    """Explains an error of torch, NumPy or Python where memory does not suffice or a device fails.

    torch raises RuntimeError for both. Returns None for every other error. The hint advises to take a
    smaller `smaller`.
    """
    text = str(error)
    on_gpu = bool(_GPU.search(text))
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        lacking = "the GPU's memory does not suffice" if on_gpu else "there is not enough memory"
        return DeviceError(lacking, f"take a smaller {smaller}")
    if on_gpu and isinstance(error, RuntimeError):
        advice = "continue with {resume} and {device} cpu"
        return DeviceError(f"the GPU has failed: {first_line(error)}", advice)
    return None


@contextmanager
def device_errors(smaller: str) -> Iterator[None]:
    """Turns the errors that `device_error` explains into one sentence."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        explained = device_error(error, smaller)
        if explained is None:
            raise
        raise explained from error
