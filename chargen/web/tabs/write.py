"""The tab to write with: text while it is drawn, and what the model expects next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chargen.errors import ChargenError
from chargen.rendering.describe import copy_glyphs
from chargen.web import html
from chargen.web.generation import MAX_TEXTS, TEMPERATURES, Engine, GenerationRequest, seed_or_new
from chargen.web.gradio_setup import LATEST, QUIET, gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import GENERATOR

MAX_BOOKMARKS = 20
COMPARED_LENGTH = 400  # characters at each temperature, at most
HINT = "Press Write or Ctrl+Enter, and the text appears here, character by character."
_DOWNLOAD = html.download_js(
    "[...document.querySelectorAll('#written .sheet')]"
    r".map((sheet) => sheet.textContent).join('\n\n----------\n\n')",
    name="chargen.txt",
    mime="text/plain;charset=utf-8",
)
Updates = dict[Any, Any]  # what a handler changes: a value or `gr.update` for a component


@dataclass(frozen=True)
class Draft:
    """The text that Continue goes on from: a prompt, and what was written after it."""

    prompt: str = ""
    new: str = ""
    seed: int | None = None  # None where nothing was written

    @property
    def text(self) -> str:
        """The whole text."""
        return self.prompt + self.new


class WriteTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(self, page: gr.Blocks, engine: Engine, inspector: Inspector) -> None:
        """Lays the tab out in the block that is open, and connects it."""
        self._engine, self._inspector = engine, inspector
        self.draft = gr.State(Draft())
        self.bookmarked = gr.State([])  # texts, newest first
        with gr.Row(equal_height=False):
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
        self.written = gr.HTML(html.empty_sheet(HINT), elem_id="written")
        self.message = gr.HTML(html.note(""), elem_id="told")
        with gr.Row(elem_classes="buttons"):
            self.compare_button = gr.Button("Compare temperatures", size="sm", elem_id="compare")
            self.download_button = gr.Button(
                "Download as text", size="sm", visible=False, elem_id="download"
            )
            self.copies_button = gr.Button(
                "Find copied passages", size="sm", visible=False, elem_id="copied"
            )
            self.bookmark_button = gr.Button("Bookmark", size="sm", visible=False, elem_id="keep")
        self.bookmarks = gr.Dropdown(
            [],
            label="Bookmarks",
            info="Choose one to return to its text and continue from there, as often as you like.",
            visible=False,
            elem_id="bookmarks",
        )

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
        self.bars = gr.HTML(js_on_load=html.SELECT_ON_CLICK, elem_id="bars")
        self.length = gr.Slider(
            50,
            5000,
            value=500,
            step=50,
            label="Length",
            info="The number of new characters, at most.",
        )
        with gr.Accordion("Seed, several texts, top-k, top-p, min-p", open=False):
            self.seed = gr.Number(
                value=None,
                precision=0,
                label="Seed",
                info="The same seed writes the same text, here and on the command line. "
                "Leave it empty for a new one each time.",
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

    def _connect(self, page: gr.Blocks) -> None:
        sampling = [self.length, self.temperature, self.top_k, self.top_p, self.min_p]
        settings = [self.model, *sampling, self.seed, self.num]
        outputs = [self.written, self.message, self.draft, *self._after_writing]
        show_bars: dict[str, Any] = {
            "fn": self.expect_next,
            "inputs": [self.draft, self.model, *sampling],
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
            event = button.click(handler, [source, *settings], outputs, concurrency_limit=8, **QUIET)
            event.then(**show_bars)
            writing.append(event)
        # First cancelled, then shown: the other way round, one more piece would replace what is shown.
        stopped = self.stop_button.click(None, cancels=writing, **QUIET)
        stopped.then(self.show_stopped, self.draft, outputs, **QUIET).then(**show_bars)
        self.compare_button.click(
            self.compare_temperatures,
            [self.draft, self.prompt, *settings],
            outputs,
            concurrency_limit=4,
            **QUIET,
        )
        self.download_button.click(None, js=_DOWNLOAD, api_visibility="private")
        self.copies_button.click(
            self.find_copies,
            [self.draft, self.model],
            [self.written, self.message],
            concurrency_limit=2,
            **QUIET,
        )
        self.bookmark_button.click(
            self.add_bookmark,
            [self.draft, self.bookmarked],
            [self.bookmarked, self.bookmarks],
            **QUIET,
        )
        self.bookmarks.input(
            self.open_bookmark, [self.bookmarks, self.bookmarked], outputs, **QUIET
        ).then(**show_bars)
        self.bars.select(self.choose_next, [self.draft, self.model], outputs, **QUIET).then(
            **show_bars
        )
        self.prompt.change(self.use_prompt, self.prompt, self.draft, **QUIET).then(**show_bars)
        for slider in (self.temperature, self.top_k, self.top_p, self.min_p):
            slider.input(**show_bars)
        self.model.change(**show_bars)
        page.load(**show_bars)
        page.load(self.list_models, None, self.model, **QUIET)

    @property
    def _after_writing(self) -> list[gr.Button]:
        """The buttons that need a text."""
        return [
            self.continue_button,
            self.again_button,
            self.download_button,
            self.copies_button,
            self.bookmark_button,
        ]

    def write(self, prompt: str, *settings: Any) -> Iterator[Updates]:
        """Writes after the prompt."""
        yield from self._write(prompt, *settings)

    def write_on(self, draft: Draft, *settings: Any) -> Iterator[Updates]:
        """Writes after the text of the draft."""
        yield from self._write(draft.text, *settings)

    def write_again(self, draft: Draft, *settings: Any) -> Iterator[Updates]:
        """Writes after the prompt of the draft, with its seed."""
        *others, _, num = settings
        yield from self._write(draft.prompt, *others, draft.seed, num)

    def _write(self, prompt: str, model: str, *settings: Any) -> Iterator[Updates]:
        *sampling, seed, num = settings
        try:
            request, seed = _request(*sampling), seed_or_new(seed)
            prefix, notes = self._engine.read(model, prompt)
        except ChargenError as error:
            yield {self.message: html.error_note(error)}
            return
        prompt = prefix.text
        yield {
            self.written: html.sheet(prompt, writing=True),
            self.message: html.note(" ".join(notes)),
        }
        for texts in self._engine.stream(model, prompt, request, seed, int(num)):
            yield {
                self.written: _sheets(prompt, texts, writing=True),
                self.draft: Draft(prompt, texts[0], seed),
            }
        lengths = ", ".join(f"{len(text):,}" for text in texts)
        yield {
            self.written: _sheets(prompt, texts),
            self.message: html.note(f"{' '.join(notes)} {lengths} characters, seed {seed}".strip()),
            **self._show_buttons(texts[0]),
        }

    def show_stopped(self, draft: Draft) -> Updates:
        """Shows what was written until Stop was pressed."""
        return {
            self.written: html.sheet(draft.prompt, draft.new),
            self.message: html.note(f"Stopped after {len(draft.new):,} characters, seed {draft.seed}"),
            **self._show_buttons(draft.new),
        }

    def _show_buttons(self, new: str) -> Updates:
        return {button: gr.update(visible=bool(new)) for button in self._after_writing}

    def compare_temperatures(self, draft: Draft, prompt: str, model: str, *settings: Any) -> Updates:
        """Writes after the prompt at each of `TEMPERATURES`, with one seed."""
        length, *sampling, seed, _ = settings
        try:
            seed = seed_or_new(draft.seed if seed is None and draft.new else seed)
            request = _request(min(COMPARED_LENGTH, length), *sampling)
            texts = self._engine.compare(model, prompt, request, seed)
        except ChargenError as error:
            return {self.message: html.error_note(error)}
        titles = [f"temperature {temperature:g}" for temperature in TEMPERATURES]
        return {
            self.written: html.sheets(titles, prompt, texts),
            self.message: html.note(f"The same random numbers at each temperature: seed {seed}"),
            self.download_button: gr.update(visible=True),
        }

    def use_prompt(self, prompt: str) -> Draft:
        """Makes a prompt that has been edited the draft."""
        return Draft(prompt)

    def expect_next(self, draft: Draft, model: str, *sampling: Any) -> str:
        """Shows what may come next after the draft, with its probability."""
        request = _request(*sampling)
        try:
            prefix, _ = self._engine.read(model, draft.text)
        except ChargenError as error:
            return html.error_note(error)
        title = "The beginning of a text. Click one to choose it."
        if prefix.text:
            title = f"Next, after “{_end(prefix.text, 24)}”. Click one to choose it."
        return html.bars(prefix.expected(request.sampler), title)

    def choose_next(self, draft: Draft, model: str, event: gr.EventData) -> Updates:
        """Adds what a visitor has clicked on to the draft."""
        try:
            prefix, _ = self._engine.read(model, draft.text + str(event.text))
        except ChargenError as error:
            return {self.message: html.error_note(error)}
        length = len(draft.prompt)
        draft = replace(draft, prompt=prefix.text[:length], new=prefix.text[length:])
        return {
            self.draft: draft,
            self.written: html.sheet(draft.prompt, draft.new),
            self.message: html.note("Chosen by you. Press Continue to go on from here."),
            self.continue_button: gr.update(visible=True),
            self.download_button: gr.update(visible=True),
        }

    def find_copies(self, draft: Draft, model: str) -> Updates:
        """Colours the passages of the draft that are in the training text."""
        try:
            report = self._inspector.copies(model, draft.text)
        except ChargenError as error:
            return {self.message: html.error_note(error)}
        message = (
            f"{100 * report.share:.1f} % is copied word for word from the training text "
            f"({report.least} characters or more)."
        )
        if report.passages:
            longest = report.longest[0]
            message += (
                f" The longest passage has {longest.length:,} characters and begins in line "
                f"{longest.line:,} of the training text."
            )
        return {
            self.written: html.coloured(copy_glyphs(report)),
            self.message: html.note(message),
        }

    def add_bookmark(self, draft: Draft, bookmarked: list[str]) -> list[Any]:
        """Puts the text of the draft first among the bookmarks."""
        others = [text for text in bookmarked if text != draft.text]
        texts = [draft.text, *others][:MAX_BOOKMARKS]
        # The ends of the texts tell them apart; the oldest one has number 1.
        choices = [
            (f"{len(texts) - index}: {_end(text, 40)}", index) for index, text in enumerate(texts)
        ]
        return [texts, gr.update(choices=choices, value=None, visible=True)]

    def open_bookmark(self, chosen: int | None, bookmarked: list[str]) -> Updates:
        """Makes the text of a bookmark the draft."""
        if chosen is None or not 0 <= chosen < len(bookmarked):
            return {self.message: gr.skip()}
        return {
            self.draft: Draft(bookmarked[chosen]),
            self.written: html.sheet(bookmarked[chosen]),
            self.message: html.note("Back at the bookmark. Press Continue to go on from here."),
            self.continue_button: gr.update(visible=True),
        }

    def list_models(self) -> Any:
        """Fills the menu and chooses the newest model."""
        names = self._engine.store.names(GENERATOR)
        return gr.update(choices=names, value=names[0])


def _request(
    length: float, temperature: float, top_k: float, top_p: float, min_p: float
) -> GenerationRequest:
    return GenerationRequest(int(length), temperature, int(top_k), top_p, min_p)


def _sheets(prompt: str, texts: list[str], *, writing: bool = False) -> str:
    if len(texts) == 1:
        return html.sheet(prompt, texts[0], writing=writing)
    titles = [f"text {number}" for number in range(1, len(texts) + 1)]
    return html.sheets(titles, prompt, texts, writing=writing)


def _end(text: str, length: int) -> str:
    """Returns the last characters of a text in one line."""
    return ("…" if len(text) > length else "") + text[-length:].replace("\n", "↵")
