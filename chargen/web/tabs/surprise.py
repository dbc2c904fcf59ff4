"""A text coloured by how little a model expected each of its characters, as one types."""

from __future__ import annotations

from typing import Any

from chargen.errors import ChargenError
from chargen.rendering import describe as described
from chargen.web import html as drawing
from chargen.web.gradio_setup import gr
from chargen.web.inspector import Inspector

WORST = 8  # spots that are listed
SAID = 3  # characters of which it is said what stands in for them


def build(page: gr.Blocks, inspector: Inspector, model: gr.Dropdown, text: gr.Textbox) -> None:
    """Puts this part of the tab together."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=7, min_width=320):
            coloured = gr.HTML(elem_id="surprise")
        with gr.Column(scale=5, min_width=300):
            found = gr.HTML(elem_id="worst")

    def look(name: str, given: str) -> list[str]:
        if not given:
            return [
                drawing.note("Type something above: it is coloured by how little it was expected."),
                "",
            ]
        try:
            surprise, notes = inspector.surprise(name, given)
        except ChargenError as error:
            return [drawing.note(str(error), bad=True), ""]
        glyphs = map(described.surprised, surprise.characters())
        facts = drawing.facts([("bits per character", f"{surprise.bits_per_character:.3f}")])
        rows = described.worst(surprise, WORST)
        hint = "The redder, the less it was expected. Point at a character to see what was."
        more = [f"and {len(notes) - SAID:,} more characters"] if len(notes) > SAID else []
        told = "".join(map(drawing.note, [*notes[:SAID], *more]))
        return [drawing.coloured(glyphs), facts + drawing.note(hint) + told + rows]

    now: dict[str, Any] = {
        "fn": look,
        "inputs": [model, text],
        "outputs": [coloured, found],
        "trigger_mode": "always_last",
        "concurrency_limit": 4,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    text.change(**now)
    model.change(**now)
    page.load(**now)
