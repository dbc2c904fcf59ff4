"""The tab to write with: text as it is drawn, and what the model expects next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chargen.errors import ChargenError
from chargen.rendering.describe import copied as copied_glyphs
from chargen.web import html as drawing
from chargen.web.generation import MOST_TEXTS, TEMPERATURES, GenerationRequest, Writers, seed_for
from chargen.web.gradio_setup import gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import GENERATOR

MOST_BOOKMARKS = 20
HINT = "Press Write, or Ctrl-Enter, and the text appears here, a character at a time."
_DOWNLOAD = """
() => {
  const sheets = [...document.querySelectorAll('#written .sheet')];
  const text = sheets.map((sheet) => sheet.textContent).join('\\n\\n----------\\n\\n');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain;charset=utf-8'}));
  link.download = 'chargen.txt';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
"""


def build(page: gr.Blocks, writers: Writers, inspector: Inspector) -> gr.Dropdown:
    """Puts the tab together; returns the menu of models, so that others can choose from it."""
    names = writers.store.names(GENERATOR)
    # The text whose end the bars are about, with the seed it was written with.
    place = gr.State({"given": "", "new": "", "seed": None})
    kept = gr.State([])  # texts that are bookmarked, the newest first
    with gr.Row(equal_height=False):
        with gr.Column(scale=7, min_width=320):
            prompt = gr.Textbox(
                label="Prompt",
                info="What the text begins with; it may be empty.",
                lines=2,
                max_lines=8,
                elem_id="prompt",
                elem_classes="mono",
            )
            with gr.Row(elem_classes="buttons"):
                write = gr.Button("Write", variant="primary", elem_id="write", elem_classes="does")
                stop = gr.Button("Stop", variant="stop", elem_id="stop", elem_classes="stops")
                onward = gr.Button("Continue", visible=False, elem_id="continue")
                again = gr.Button("Again, same seed", visible=False, elem_id="again")
            written = gr.HTML(drawing.blank(HINT), elem_id="written")
            told = gr.HTML(drawing.note(""), elem_id="told")
            with gr.Row(elem_classes="buttons"):
                compare = gr.Button("At five temperatures", size="sm", elem_id="compare")
                download = gr.Button("Download as text", size="sm", visible=False, elem_id="download")
                copied = gr.Button("What is copied?", size="sm", visible=False, elem_id="copied")
                keep = gr.Button("Bookmark this place", size="sm", visible=False, elem_id="keep")
            bookmarks = gr.Dropdown(
                [],
                label="Bookmarks",
                info="Back to a place in a text, and on from there as often as you like.",
                visible=False,
                elem_id="bookmarks",
            )
        with gr.Column(scale=5, min_width=300):
            model = gr.Dropdown(
                names,
                value=names[0],
                label="Model",
                info="Those that you trained, and the starter, which has read Python's manual.",
                elem_id="model",
            )
            temperature = gr.Slider(
                0,
                2,
                value=0.8,
                step=0.05,
                label="Temperature",
                info="Low: the safe choice. High: the wild one. 0 always takes the likeliest.",
                elem_id="temperature",
            )
            expected = gr.HTML(js_on_load=drawing.CLICKED, elem_id="bars")
            length = gr.Slider(
                50,
                5000,
                value=500,
                step=50,
                label="Length",
                info="Characters of new text, at most.",
            )
            with gr.Accordion("Seed, several texts, narrowing the choice", open=False):
                seed = gr.Number(
                    value=None,
                    precision=0,
                    label="Seed",
                    info="The same seed writes the same text, here and in the terminal. "
                    "Empty: a new one each time.",
                    elem_id="seed",
                )
                num = gr.Slider(
                    1, MOST_TEXTS, value=1, step=1, label="Texts", info="Written side by side."
                )
                top_k = gr.Slider(
                    0, 50, value=0, step=1, label="Top-k", info="Only the k likeliest. 0: all."
                )
                top_p = gr.Slider(
                    0.05,
                    1,
                    value=1,
                    step=0.05,
                    label="Top-p",
                    info="Only the fewest likeliest that reach this probability together. 1: all.",
                )
                min_p = gr.Slider(
                    0,
                    0.5,
                    value=0,
                    step=0.01,
                    label="Min-p",
                    info="Only those at least this likely, relative to the likeliest. 0: all.",
                )
    how = [length, temperature, top_k, top_p, min_p]
    after = [onward, again, download, copied, keep]

    def start(text: str, *wishes: Any) -> Iterator[dict[Any, Any]]:
        yield from _writing(text, *wishes)

    def go_on(past: dict[str, Any], *wishes: Any) -> Iterator[dict[Any, Any]]:
        yield from _writing(past["given"] + past["new"], *wishes)

    def once_more(past: dict[str, Any], *wishes: Any) -> Iterator[dict[Any, Any]]:
        *others, _seed, texts = wishes
        yield from _writing(past["given"], *others, past["seed"], texts)

    def _writing(given: str, name: str, *wishes: Any) -> Iterator[dict[Any, Any]]:
        *numbers, wanted, texts = wishes
        try:
            wish, seed_used = _wish(*numbers), seed_for(wanted)
            mark, notes = writers.read(name, given)
        except ChargenError as error:
            yield {told: drawing.note(str(error), bad=True)}
            return
        given = mark.text
        yield {
            written: drawing.sheet(given, writing=True),
            told: drawing.note(" ".join(notes)),
        }
        for many in writers.write(name, given, wish, seed_used, int(texts)):
            yield {
                written: _drawn(given, many, writing=True),
                place: {"given": given, "new": many[0], "seed": seed_used},
            }
        size = ", ".join(f"{len(one):,}" for one in many)
        yield {
            written: _drawn(given, many),
            told: drawing.note(f"{' '.join(notes)} {size} characters, seed {seed_used}".strip()),
            **_rest(many[0]),
        }

    def _rest(new: str) -> dict[Any, Any]:
        return {button: gr.update(visible=bool(new)) for button in after}

    def halt(past: dict[str, Any]) -> dict[Any, Any]:
        size = f"stopped after {len(past['new']):,} characters, seed {past['seed']}"
        return {
            written: drawing.sheet(past["given"], past["new"]),
            told: drawing.note(size),
            **_rest(past["new"]),
        }

    def five(past: dict[str, Any], text: str, name: str, *wishes: Any) -> dict[Any, Any]:
        *numbers, wanted, _ = wishes
        try:
            seed_used = seed_for(past["seed"] if wanted is None and past["new"] else wanted)
            wish = _wish(min(400, numbers[0]), *numbers[1:])
            texts = writers.compare(name, text, wish, seed_used)
        except ChargenError as error:
            return {told: drawing.note(str(error), bad=True)}
        return {
            written: drawing.sheets([f"temperature {t:g}" for t in TEMPERATURES], text, texts),
            told: drawing.note(f"the same luck five times: seed {seed_used}"),
            download: gr.update(visible=True),
        }

    def ahead(past: dict[str, Any], name: str, *numbers: Any) -> str:
        return _bars(writers, past["given"] + past["new"], name, _wish(*numbers))

    def moved(text: str) -> dict[str, Any]:
        return {"given": text, "new": "", "seed": None}

    def force(past: dict[str, Any], name: str, event: gr.EventData) -> dict[Any, Any]:
        more = str(event.text)
        try:
            mark, _ = writers.read(name, past["given"] + past["new"] + more)
        except ChargenError as error:
            return {told: drawing.note(str(error), bad=True)}
        size = len(past["given"])
        changed = past | {"given": mark.text[:size], "new": mark.text[size:]}
        return {
            place: changed,
            written: drawing.sheet(changed["given"], changed["new"]),
            told: drawing.note("chosen by you; Continue goes on from there"),
            onward: gr.update(visible=True),
            download: gr.update(visible=True),
        }

    def what_is_copied(past: dict[str, Any], name: str) -> dict[Any, Any]:
        try:
            found = inspector.copies(name, past["given"] + past["new"])
        except ChargenError as error:
            return {told: drawing.note(str(error), bad=True)}
        words = (
            f"{found.share:.1%} of it stands in the training text in pieces of {found.least} or more"
        )
        if found.passages:
            longest = found.longest[0]
            words += f", the longest {longest.length:,} characters, from its line {longest.line:,}"
        return {written: drawing.coloured(copied_glyphs(found)), told: drawing.note(words)}

    def bookmark(past: dict[str, Any], kept: list[str]) -> list[Any]:
        text = past["given"] + past["new"]
        kept = [text, *(other for other in kept if other != text)][:MOST_BOOKMARKS]
        return [kept, gr.update(choices=_ends(kept), value=None, visible=True)]

    def go_back(chosen: int | None, kept: list[str]) -> dict[Any, Any]:
        if chosen is None or not 0 <= chosen < len(kept):
            return {}
        return {
            place: {"given": kept[chosen], "new": "", "seed": None},
            written: drawing.sheet(kept[chosen]),
            told: drawing.note("back at the bookmark; Continue goes on from there"),
            onward: gr.update(visible=True),
        }

    wishes = [model, *how, seed, num]
    shown = [written, told, place, *after]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    bars: dict[str, Any] = {
        "fn": ahead,
        "inputs": [place, model, *how],
        "outputs": expected,
        "trigger_mode": "always_last",
        "concurrency_limit": 8,
        **quiet,
    }
    running: list[Any] = []
    for button, handler, source in (
        (write, start, prompt),
        (onward, go_on, place),
        (again, once_more, place),
    ):
        event = button.click(handler, [source, *wishes], shown, concurrency_limit=8, **quiet)
        event.then(**bars)
        running.append(event)
    halted = stop.click(None, cancels=running, **quiet)  # first, or a last piece comes behind it
    halted.then(halt, place, shown, **quiet).then(**bars)
    compare.click(five, [place, prompt, *wishes], shown, concurrency_limit=4, **quiet)
    download.click(None, js=_DOWNLOAD, api_visibility="private")
    copied.click(what_is_copied, [place, model], [written, told], concurrency_limit=2, **quiet)
    keep.click(bookmark, [place, kept], [kept, bookmarks], **quiet)
    bookmarks.input(go_back, [bookmarks, kept], shown, **quiet).then(**bars)
    expected.select(force, [place, model], shown, **quiet).then(**bars)
    prompt.change(moved, prompt, place, **quiet).then(**bars)
    for slider in (temperature, top_k, top_p, min_p):
        slider.input(**bars)
    model.change(**bars)
    page.load(**bars)
    page.load(lambda: _menu(writers), None, model, **quiet)
    return model


def _wish(
    length: float, temperature: float, top_k: float, top_p: float, min_p: float
) -> GenerationRequest:
    return GenerationRequest(int(length), temperature, int(top_k), top_p, min_p)


def _drawn(given: str, many: list[str], *, writing: bool = False) -> str:
    if len(many) == 1:
        return drawing.sheet(given, many[0], writing=writing)
    titles = [f"text {number}" for number in range(1, len(many) + 1)]
    return drawing.sheets(titles, given, many, writing=writing)


def _bars(writers: Writers, text: str, name: str, wish: GenerationRequest) -> str:
    try:
        mark, _ = writers.read(name, text)
    except ChargenError as error:
        return drawing.note(str(error), bad=True)
    end = mark.text[-24:].replace("\n", "↵")
    title = f"Next, after “{'…' if len(mark.text) > 24 else ''}{end}”. Click one to choose it."
    if not mark.text:
        title = "How a text begins. Click one to choose it."
    return drawing.bars(mark.expected(wish.sampler), title)


def _ends(texts: list[str]) -> list[tuple[str, int]]:
    """Bookmarks as one can tell them apart, by the ends of their texts."""
    ends = [text[-40:].replace("\n", "↵") for text in texts]
    return [
        (f"{len(texts) - number}: {'…' if len(text) > 40 else ''}{end}", number)
        for number, (text, end) in enumerate(zip(texts, ends, strict=True))
    ]


def _menu(writers: Writers) -> Any:
    names = writers.store.names(GENERATOR)
    return gr.update(choices=names, value=names[0])
