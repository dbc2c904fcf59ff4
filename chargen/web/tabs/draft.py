"""The texts on the sheets of the tab to write with, of which one is chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from chargen.rendering.colouring import Glyph
from chargen.web import html


@dataclass(frozen=True)
class Draft:
    """A prompt and what was written after it, once or several times; no texts before the first.

    It travels as JSON between the browser and the handlers: kept there, it outlives the server.
    """

    prompt: str = ""
    texts: tuple[str, ...] = ()  # new texts after the prompt
    titles: tuple[str, ...] = ()  # of the texts, where there are several
    seed: int | None = None  # None where nothing was drawn
    chosen: int = 0  # the text that everything acts on
    model: str = ""  # that has written them

    @property
    def new(self) -> str:
        """The chosen text without the prompt."""
        return self.texts[self.chosen] if self.texts else ""

    @property
    def text(self) -> str:
        """The whole chosen text."""
        return self.prompt + self.new

    def to_json(self) -> str:
        """Returns the draft as the browser keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, value: str | None) -> Draft:
        """Returns what `to_json` has written; an empty draft for anything else."""
        try:
            fields = json.loads(value or "{}")
            texts = tuple(map(str, fields.get("texts", ())))
            titles = tuple(map(str, fields.get("titles", ())))
            seed, chosen = fields.get("seed"), int(fields.get("chosen", 0))
            prompt, model = str(fields.get("prompt", "")), str(fields.get("model", ""))
            seed = None if seed is None else int(seed)
            draft = cls(prompt, texts, titles, seed, chosen, model)
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            return cls()
        sound = len(titles) in (0, len(texts)) and 0 <= chosen < max(1, len(texts))
        return draft if sound else cls()

    def html(self, *, writing: bool = False, glyphs: Sequence[Glyph] = ()) -> str:
        """Renders the sheets; `glyphs`, if there are any, are the chosen text in colours."""
        if len(self.texts) > 1:
            chosen = None if writing else self.chosen
            return html.sheets(
                self.titles, self.prompt, self.texts, writing=writing, chosen=chosen, glyphs=glyphs
            )
        return html.coloured(glyphs) if glyphs else html.sheet(self.prompt, self.new, writing=writing)
