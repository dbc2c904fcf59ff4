"""Bookmarks: texts to which a visitor can return, and go on from there in another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chargen.web import html
from chargen.web.gradio_setup import QUIET, UNCHECKED, gr
from chargen.web.tabs.draft import Draft

MAX_BOOKMARKS = 20


class Bookmarks:
    """The menu of bookmarks; the browser keeps their texts, so that they outlive the server."""

    def __init__(self) -> None:
        """Lays the menu out in the block that is open."""
        # JSON, newest first; in the browser, so that it outlives the server.
        self.texts = gr.Textbox("[]", visible="hidden", elem_id="bookmarked")
        self.menu = gr.Dropdown(
            [],
            label="Bookmarks",
            info="Choose one to return to its text and continue from there, as often as you like.",
            visible=False,
            elem_id="bookmarks",
        )

    def connect(
        self,
        button: gr.Button,
        draft: gr.Textbox,
        show: Callable[[str], dict[Any, Any]],
        outputs: list[Any],
        then: dict[str, Any],
    ) -> None:
        """Lets the button bookmark the draft, and the menu `show` a text in `outputs`."""

        def open_bookmark(chosen: Any, texts: str) -> dict[Any, Any]:
            saved = _texts(texts)
            if not isinstance(chosen, int) or not 0 <= chosen < len(saved):
                return {draft: gr.update()}  # the menu was left without a choice
            return show(saved[chosen])

        button.click(self.add, [draft, self.texts], [self.texts, self.menu], **QUIET)
        self.menu.input(open_bookmark, [self.menu, self.texts], outputs, **UNCHECKED).then(**then)

    def add(self, draft: str, texts: str) -> list[Any]:
        """Puts the text of the draft first among the bookmarks."""
        text = Draft.from_json(draft).text
        saved = [text, *(other for other in _texts(texts) if other != text)][:MAX_BOOKMARKS]
        return [json.dumps(saved), self.menu_of(json.dumps(saved))]

    def menu_of(self, texts: str) -> Any:
        """Returns the menu of these bookmarks."""
        saved = _texts(texts)
        # The ends of the texts tell them apart; the oldest one has number 1.
        choices = [
            (f"{len(saved) - index}: {html.end_of(text, 40)}", index)
            for index, text in enumerate(saved)
        ]
        return gr.update(choices=choices, value=None, visible=bool(saved))


def _texts(value: str | None) -> list[str]:
    """Returns the texts that the browser has kept; none for anything that is no list."""
    try:
        texts = json.loads(value or "[]")
    except (ValueError, RecursionError):
        return []
    return list(map(str, texts)) if isinstance(texts, list) else []
