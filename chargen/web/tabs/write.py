"""The tab to write with: text while it is drawn, and what the model expects next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from chargen.errors import ChargenError
from chargen.rendering.describe import copy_glyphs
from chargen.web import html
from chargen.web.generation import (
    MAX_LENGTH,
    MAX_TEXTS,
    TEMPERATURES,
    Engine,
    GenerationRequest,
    seed_or_new,
)
from chargen.web.gradio_setup import LATEST, UNCHECKED, gr
from chargen.web.inspector import Inspector
from chargen.web.labels import quoted
from chargen.web.model_store import GENERATOR
from chargen.web.numbers import integer, number, typed
from chargen.web.scripts import CHOOSE_SHEET, SELECT_ON_CLICK, download
from chargen.web.tabs.bookmarks import Bookmarks
from chargen.web.tabs.draft import Draft

COMPARED_LENGTH = 400  # characters at each temperature, at most
HINT = "Press Write or Ctrl+Enter, and the text appears here, character by character."
_DOWNLOAD = download(
    "[...document.querySelectorAll('#written .sheet')]"
    r".map((sheet) => sheet.textContent).join('\n\n----------\n\n')",
    name="chargen.txt",
    mime="text/plain;charset=utf-8",
)
_TAKE = download("input", name="chargen.html", mime="text/html;charset=utf-8")
Updates = dict[Any, Any]  # what a handler changes: a value or `gr.update` for a component


class WriteTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(self, page: gr.Blocks, engine: Engine, inspector: Inspector) -> None:
        """Lays the tab out in the block that is open, and connects it."""
        self._engine, self._inspector = engine, inspector
        # In the browser, so that it outlives the server; see `scripts`.
        self.draft = gr.Textbox(Draft().to_json(), visible="hidden", elem_id="draft")
        self.restore_button = gr.Button("Restore", visible="hidden", elem_id="restore")
        with gr.Row(equal_height=False, elem_id="writing"):
            with gr.Column(scale=7, min_width=320):
                self._lay_out_text()
            with gr.Column(scale=5, min_width=300):
                self._lay_out_settings()
        self._connect(page)

    def _lay_out_text(self) -> None:
        self.prompt = gr.Textbox(
            label="Prompt",
            info="The beginning of the text. It may be empty.",
            lines=2,
            max_lines=8,
            elem_id="prompt",
            elem_classes="mono",
        )
        with gr.Row(elem_classes="buttons"):
            self.write_button = gr.Button(
                "Write", variant="primary", elem_id="write", elem_classes="primary-action"
            )
            self.stop_button = gr.Button(
                "Stop", variant="stop", elem_id="stop", elem_classes="stop-writing"
            )
            self.continue_button = gr.Button("Continue", visible=False, elem_id="continue")
            self.again_button = gr.Button("Same seed again", visible=False, elem_id="again")
        self.written = gr.HTML(html.empty_sheet(HINT), js_on_load=CHOOSE_SHEET, elem_id="written")
        self.message = gr.HTML(html.note(""), elem_id="told")
        with gr.Row(elem_classes="buttons", elem_id="tools"):
            self.compare_button = gr.Button("Compare temperatures", size="sm", elem_id="compare")
            self.download_button = gr.Button(
                "Download as text", size="sm", visible=False, elem_id="download"
            )
            self.copies_button = gr.Button(
                "Find copied passages", size="sm", visible=False, elem_id="copied"
            )
            self.bookmark_button = gr.Button("Bookmark", size="sm", visible=False, elem_id="keep")
            self.clear_button = gr.Button("Clear", size="sm", visible=False, elem_id="clear")
        self.bookmarks = Bookmarks()

    def _lay_out_settings(self) -> None:
        names = self._engine.store.names(GENERATOR)
        self.model = gr.Dropdown(
            names,
            value=names[0],
            label="Model",
            info="Your own models, newest first, and one that read Python's manual.",
            elem_id="model",
        )
        self.temperature = gr.Slider(
            0,
            2,
            value=0.8,
            step=0.05,
            label="Temperature",
            info="Low plays safe, high takes risks, 0 never varies.",
            elem_id="temperature",
        )
        self.bars = gr.HTML(js_on_load=SELECT_ON_CLICK, elem_id="bars")
        self.length = gr.Slider(
            50,
            5000,
            value=500,
            step=50,
            label="Length",
            info="The number of new characters, at most.",
            elem_id="length",
        )
        with gr.Accordion("Seed, several texts, top-k, top-p, min-p", open=False, elem_id="more"):
            # A field for a number would hold 0 as soon as it is shown.
            self.seed = gr.Textbox(
                label="Seed",
                info="The same seed writes the same text. Leave it empty for a new one each time.",
                max_lines=1,
                elem_id="seed",
            )
            self.num = gr.Slider(
                1, MAX_TEXTS, value=1, step=1, label="Texts", info="Written side by side."
            )
            self.top_k = gr.Slider(
                0,
                50,
                value=0,
                step=1,
                label="Top-k",
                info="Choose among the k likeliest only; 0 means among all.",
            )
            self.top_p = gr.Slider(
                0.05,
                1,
                value=1,
                step=0.05,
                label="Top-p",
                info="Choose among the likeliest that together reach this probability; 1 means all.",
            )
            self.min_p = gr.Slider(
                0,
                0.5,
                value=0,
                step=0.01,
                label="Min-p",
                info="Choose among those at least this likely, compared with the likeliest; 0 means "
                "all.",
            )
        with gr.Row(elem_classes="buttons"):
            self.take_button = gr.Button("Take this model home", size="sm", elem_id="take")
        self._taken = gr.Textbox(visible="hidden")  # on its way into a file of the visitor's

    def _connect(self, page: gr.Blocks) -> None:
        sampling = [self.length, self.temperature, self.top_k, self.top_p, self.min_p]
        settings = [self.model, *sampling, self.seed, self.num]
        outputs = [self.written, self.message, self.draft, *self._after_writing]
        show_bars: dict[str, Any] = {
            "fn": self.expect_next,
            "inputs": [self.draft, self.prompt, self.model, *sampling],
            "outputs": self.bars,
            "concurrency_limit": 8,
            **LATEST,
        }
        writing: list[Any] = []
        for button, handler, source in (
            (self.write_button, self.write, self.prompt),
            (self.continue_button, self.write_on, self.draft),
            (self.again_button, self.write_again, self.draft),
        ):
            event = button.click(
                handler, [source, *settings], outputs, concurrency_limit=8, **UNCHECKED
            )
            event.then(**show_bars)
            writing.append(event)
        # First cancelled, then shown: the other way round, one more piece would replace what is shown.
        stopped = self.stop_button.click(None, cancels=writing, **UNCHECKED)
        stopped.then(self.show_stopped, self.draft, outputs, **UNCHECKED).then(**show_bars)
        self.compare_button.click(
            self.compare_temperatures,
            [self.draft, self.prompt, *settings],
            outputs,
            concurrency_limit=4,
            **UNCHECKED,
        ).then(**show_bars)
        # Each click counts. `LATEST` would handle the last one with what the first had clicked.
        self.written.select(
            self.choose_sheet,
            self.draft,
            [self.draft, self.message],
            trigger_mode="multiple",
            **UNCHECKED,
        ).then(**show_bars)
        self.download_button.click(None, js=_DOWNLOAD, api_visibility="private")
        self.take_button.click(
            self.take_home, self.model, [self._taken, self.message], concurrency_limit=2, **UNCHECKED
        ).then(None, self._taken, js=_TAKE, api_visibility="private").then(
            lambda: "", None, self._taken, **UNCHECKED
        )
        self.copies_button.click(
            self.find_copies,
            [self.draft, self.model],
            [self.written, self.message],
            concurrency_limit=2,
            **UNCHECKED,
        )
        self.bookmarks.connect(
            self.bookmark_button, self.draft, self.show_bookmark, outputs, then=show_bars
        )
        self.restore_button.click(self.restore, self.draft, [*outputs, self.model], **UNCHECKED).then(
            self.bookmarks.menu_of, self.bookmarks.texts, self.bookmarks.menu, **UNCHECKED
        ).then(**show_bars)
        self.clear_button.click(self.clear, None, outputs, **UNCHECKED).then(**show_bars)
        self.bars.select(
            self.choose_next, [self.draft, self.prompt, self.model], outputs, **UNCHECKED
        ).then(**show_bars)
        self.prompt.change(**show_bars)
        for slider in (self.temperature, self.top_k, self.top_p, self.min_p):
            slider.input(**show_bars)
        self.model.change(**show_bars)
        page.load(**show_bars)

    @property
    def _after_writing(self) -> list[gr.Button]:
        """The buttons that need a text."""
        return [
            self.continue_button,
            self.again_button,
            self.download_button,
            self.copies_button,
            self.bookmark_button,
            self.clear_button,
        ]

    def write(self, prompt: str, *settings: Any) -> Iterator[Updates]:
        """Writes after the prompt."""
        yield from self._write(prompt, *settings)

    def write_on(self, draft: str, *settings: Any) -> Iterator[Updates]:
        """Writes after the chosen text."""
        yield from self._write(Draft.from_json(draft).text, *settings)

    def write_again(self, draft: str, *settings: Any) -> Iterator[Updates]:
        """Writes after the prompt of the draft, with its seed."""
        before, (*others, _, num) = Draft.from_json(draft), settings
        yield from self._write(before.prompt, *others, before.seed, num)

    def _write(self, prompt: str, model: str, *settings: Any) -> Iterator[Updates]:
        *sampling, seed, num = settings
        try:
            num = integer(num, quoted("num"), 1, MAX_TEXTS)
            request, seed = _request(*sampling), _seed(seed)
            prefix, notes = self._engine.read(model, prompt)
        except ChargenError as error:
            yield {self.message: html.error_note(error)}
            return
        titles = tuple(f"text {number}" for number in range(1, num + 1)) if num > 1 else ()
        draft = Draft(prefix.text, ("",) * num, titles, seed, model=model)
        yield {
            self.written: draft.html(writing=True),
            self.message: html.note(" ".join(notes)),
            self.draft: draft.to_json(),
        }
        for texts in self._engine.stream(model, draft.prompt, request, seed, num):
            draft = replace(draft, texts=tuple(texts))
            yield {self.written: draft.html(writing=True), self.draft: draft.to_json()}
        lengths = ", ".join(f"{len(text):,}" for text in texts)
        message = f"{' '.join(notes)} {lengths} characters, seed {seed}".strip()
        yield self._show(draft, message)

    def _show(self, draft: Draft, message: str) -> Updates:
        """Shows a draft, and the buttons for what can be done with it."""
        buttons = {button: gr.update(visible=bool(draft.texts)) for button in self._after_writing}
        buttons[self.again_button] = gr.update(visible=draft.seed is not None)
        hint = " Click one to go on with it." if len(draft.texts) > 1 else ""
        return {
            self.draft: draft.to_json(),
            self.written: draft.html() if draft.texts else html.empty_sheet(HINT),
            self.message: html.note(message + hint),
            **buttons,
        }

    def show_stopped(self, draft: str) -> Updates:
        """Shows what was written until Stop was pressed."""
        stopped = Draft.from_json(draft)
        lengths = ", ".join(f"{len(text):,}" for text in stopped.texts) or "0"
        return self._show(stopped, f"Stopped after {lengths} characters, seed {stopped.seed}.")

    def compare_temperatures(self, draft: str, prompt: str, model: str, *settings: Any) -> Updates:
        """Writes after the prompt at each of `TEMPERATURES`, with one seed."""
        length, *sampling, seed, _ = settings
        try:
            seed = _seed(seed or Draft.from_json(draft).seed)
            length = integer(length, quoted("length"), 0, MAX_LENGTH)
            request = _request(min(COMPARED_LENGTH, length), *sampling)
            prefix, _ = self._engine.read(model, prompt)
            texts = self._engine.compare(model, prompt, request, seed)
        except ChargenError as error:
            return {self.message: html.error_note(error)}
        titles = tuple(f"temperature {temperature:g}" for temperature in TEMPERATURES)
        message = f"The same random numbers at each temperature: seed {seed}."
        return self._show(Draft(prefix.text, tuple(texts), titles, seed, model=model), message)

    def choose_sheet(self, draft: str, event: gr.EventData) -> Updates:
        """Makes the text that a visitor has clicked on the chosen one."""
        before = Draft.from_json(draft)
        try:
            index = integer(typed(str(event.text)), "the text", 0, len(before.texts) - 1)
        except ChargenError:  # of a sheet that has just been replaced
            return {self.draft: draft}
        message = "Continue, Bookmark and the rest now act on this one."
        return {
            self.draft: replace(before, chosen=index).to_json(),
            self.message: html.note(f"“{before.titles[index]}” is chosen. {message}"),
        }

    def expect_next(self, draft: str, prompt: str, model: str, *sampling: Any) -> str:
        """Shows what may come next after the chosen text, or the prompt, with its probability."""
        try:
            request = _request(*sampling)
            prefix, _ = self._engine.read(model, _source(Draft.from_json(draft), prompt))
        except ChargenError as error:
            return html.error_note(error)
        title = "The beginning of a text. Click one to choose it."
        if prefix.text:
            title = f"Next, after “{html.end_of(prefix.text, 24)}”. Click one to choose it."
        return html.bars(prefix.expected(request.sampler), title)

    def choose_next(self, draft: str, prompt: str, model: str, event: gr.EventData) -> Updates:
        """Adds what a visitor has clicked on to the chosen text, or to the prompt."""
        before = Draft.from_json(draft)
        start = before.prompt if before.texts else prompt
        try:
            prefix, _ = self._engine.read(model, _source(before, prompt) + str(event.text))
        except ChargenError as error:
            return {self.message: html.error_note(error)}
        length = len(start)
        after = Draft(prefix.text[:length], (prefix.text[length:],), seed=before.seed, model=model)
        return self._show(after, "Chosen by you. Press Continue to go on from here.")

    def find_copies(self, draft: str, model: str) -> Updates:
        """Colours the passages of the chosen text that are in the training text."""
        written = Draft.from_json(draft)
        try:
            report = self._inspector.copies(model, written.text)
        except ChargenError as error:
            return {self.message: html.error_note(error)}
        message = (
            f"{100 * report.share:.1f} % is copied word for word from the training text "
            f"({report.least} characters or more)"
        )
        if report.passages:
            longest = report.longest[0]
            message += (
                f". The longest passage has {longest.length:,} characters and begins in line "
                f"{longest.line:,} of the training text"
            )
        legend = html.legend([("cool", "copied")]) if report.passages else ""
        return {
            self.written: written.html(glyphs=copy_glyphs(report)),
            self.message: html.note(message + ".") + legend,
        }

    def take_home(self, model: str) -> Updates:
        """Makes a page in one file that writes with the model, without a server."""
        try:
            page = self._engine.store.generator(model).to_html(model)
        except ChargenError as error:
            return {self._taken: "", self.message: html.error_note(error)}
        size = f"{len(page) / 1e6:.1f} MB"
        message = f"chargen.html, {size}: this model in one file. It opens without a network."
        return {self._taken: page, self.message: html.note(message)}

    def show_bookmark(self, text: str) -> Updates:
        """Makes the text of a bookmark the draft."""
        message = "Back at the bookmark. Press Continue to go on from here."
        return self._show(Draft(text, ("",)), message)

    def restore(self, draft: str) -> Updates:
        """Shows the draft that the browser has kept while the page was started anew."""
        restored = Draft.from_json(draft)
        is_there = restored.model in self._engine.store.names(GENERATOR)
        choice = {self.model: gr.update(value=restored.model)} if is_there else {}
        return {**self._show(restored, ""), **choice}

    def clear(self) -> Updates:
        """Takes the sheet away, so that the bars follow the prompt again."""
        return self._show(Draft(), "")


def _request(length: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any) -> GenerationRequest:
    return GenerationRequest(
        integer(length, quoted("length"), 0, MAX_LENGTH),
        number(temperature, quoted("temperature"), 0),
        integer(top_k, quoted("top_k"), 0),
        number(top_p, quoted("top_p"), 0, 1),
        number(min_p, quoted("min_p"), 0, 1),
    )


def _seed(value: Any) -> int:
    """Returns the seed that was typed, or a new one."""
    return seed_or_new(typed(value) if isinstance(value, str) else value, quoted("seed"))


def _source(draft: Draft, prompt: str) -> str:
    """Returns what comes before the next character: the chosen text, or else the prompt."""
    return draft.text if draft.texts else prompt
