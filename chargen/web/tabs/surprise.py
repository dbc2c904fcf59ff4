"""The part of the tab that colours a text by how surprising each character is to a model."""

from __future__ import annotations

from chargen.errors import ChargenError
from chargen.rendering import describe
from chargen.web import html
from chargen.web.gradio_setup import LATEST, gr
from chargen.web.inspector import Inspector
from chargen.web.labels import BITS

LISTED_SPOTS = 8  # the most surprising ones
LISTED_NOTES = 3  # about substituted characters


class SurprisePart:
    """The widgets of this part, and what happens when they are used."""

    def __init__(
        self, page: gr.Blocks, inspector: Inspector, model: gr.Dropdown, text: gr.Textbox
    ) -> None:
        """Lays the part out in the block that is open, and connects it."""
        self._inspector = inspector
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                self.coloured = gr.HTML(elem_id="surprise")
            with gr.Column(scale=5, min_width=300):
                self.summary = gr.HTML(elem_id="worst")
        for event in (text.change, model.change, page.load):
            event(
                self.colour,
                [model, text],
                [self.coloured, self.summary],
                concurrency_limit=4,
                **LATEST,
            )

    def colour(self, model: str, text: str) -> list[str]:
        """Shows the text in colours, and its most surprising spots."""
        if not text:
            hint = "Type a text above. The more a character surprises the model, the redder it gets."
            return [html.note(hint), ""]
        try:
            surprise, notes = self._inspector.surprise(model, text)
        except ChargenError as error:
            return [html.error_note(error), ""]
        hint = (
            "The redder a character, the more it surprises the model. Point at one, or move through "
        )
        hint += "the text with the arrow keys, to see what the model expected instead."
        if len(notes) > LISTED_NOTES:
            more = f"and {len(notes) - LISTED_NOTES:,} more characters"
            notes = [*notes[:LISTED_NOTES], more]
        summary = [
            html.facts([("bits per character", f"{surprise.bits_per_character:.3f}")]),
            *map(html.note, [BITS, hint, *notes]),
            describe.spots_html(surprise, LISTED_SPOTS),
        ]
        glyphs = map(describe.surprise_glyph, surprise.characters())
        return [html.coloured(glyphs), "".join(summary)]
