"""The methods of a generator that read a text and look inside the model."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np

from chargen import arguments
from chargen.data.cache import encode
from chargen.data.documents import adapt
from chargen.data.sources import Source, open_text
from chargen.data.text import Text
from chargen.storage.record import Record
from chargen.suggestions import suggests
from chargen.tokenizers.base import Ids, Tokenizer

if TYPE_CHECKING:
    from chargen.inspection.components import ComponentCorrelation
    from chargen.inspection.gradients import GradientReach
    from chargen.inspection.states import Layers
    from chargen.inspection.surprise import Surprise
    from chargen.model import LanguageModel


@suggests
class Inspectable:
    """A language model with its tokenizer, which can be seen through.

    What looks inside imports torch when it is called: a generator can write without.
    """

    tokenizer: Tokenizer
    record: Record

    @property
    def model(self) -> LanguageModel:
        """The model, whose weights may be changed."""
        raise NotImplementedError

    def surprise(self, text: Source) -> Surprise:
        """Returns the surprise at each character of a text, and what the model expected instead.

        Characters are adapted like those of a prompt, see `read`.
        """
        from chargen.inspection.surprise import surprise

        return surprise(self.model, self.tokenizer, self._adapted(text))

    def states(self, text: Source) -> Layers:
        """Returns states and gates while reading a text: for each layer, arrays (T, H) by name.

        The names are those of `inspection.states.STATE_KINDS`; `pieces` has the T texts.
        """
        from chargen.inspection.states import states

        return states(self.model, self._adapted(text))

    def pieces(self, text: Source) -> list[str]:
        """Returns the texts of the tokens (T,) that the model reads, one for each row of `states`."""
        return [self.tokenizer.name(token) for token in self._adapted(text).tolist()]

    def components(self, text: Source) -> list[ComponentCorrelation]:
        """Finds components of the state that correlate with a property of the text, strongest first.

        Raises ChargenError for a text of fewer than a hundred characters.
        """
        from chargen.inspection.components import components

        return components(self.model, self.tokenizer, self._adapted(text))

    def gradients(self, text: Source, farthest: int = 200, seed: int = 0) -> GradientReach:
        """Measures how far back the gradient and the memory reach, at distances 1 to `farthest`.

        `seed` draws the positions of the text at which they are measured. Raises ChargenError for a
        text that is too short.
        """
        from chargen.inspection.gradients import gradients

        return gradients(self.model, self._adapted(text), farthest, seed)

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        """Replaces characters that the vocabulary lacks, document by document; see `Tokenizer.adapt`.

        What separates the documents stays, although no document contains it.
        """
        return adapt(arguments.text(text, "text"), self.tokenizer, self._split_on, skip)

    def _adapted(self, text: Source) -> Ids:
        characters = as_lines("".join(open_text(text, literal=True).pieces()))
        return self._ids(Text.from_string(self._with_warnings(*self.adapt(characters))))

    def _ids(self, text: Text) -> Ids:
        """Returns the tokens of a text; the end symbol closes each document."""
        parts = list(encode(text, self.tokenizer, self._split_on))
        return np.concatenate(parts or [np.zeros(0, self.tokenizer.dtype)])

    @property
    def _split_on(self) -> str | None:
        return self.record.corpus.split_on

    def _with_warnings(self, adapted: str, notes: list[str]) -> str:
        """Returns an adapted text; warns of each substitution in it."""
        for note in notes:
            warnings.warn(note, stacklevel=_caller_level())
        return adapted


def as_lines(text: str) -> str:
    """Returns a text with each CRLF and CR as a newline."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _caller_level() -> int:
    """Returns the `stacklevel` at which a warning names the line that called this package.

    Python 3.12 has `skip_file_prefixes` for this.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "chargen":
        level, frame = level + 1, frame.f_back
    return level
