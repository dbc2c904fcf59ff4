"""What the page can do, for programs: endpoints with names and types, for `gradio_client`."""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from chargen.errors import ChargenError
from chargen.web import training_job
from chargen.web.generation import GenerationRequest, Writers, seed_for
from chargen.web.gradio_setup import api, gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import CLASSIFIER, GENERATOR, STARTER, ModelStore
from chargen.web.tabs import classify as classify_tab
from chargen.web.training_job import TrainingJob


def build(store: ModelStore, writers: Writers, inspector: Inspector, job: TrainingJob) -> None:
    """Adds the endpoints to the page that is being put together."""

    def models() -> dict[str, list[str]]:
        """The names of what can write and of what can classify, the newest first."""
        return {"generators": store.names(GENERATOR), "classifiers": store.names(CLASSIFIER)}

    # Gradio reads the hint as that of each thing that is yielded.
    def write(  # type: ignore[misc]
        prompt: str = "",
        model: str = STARTER,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
    ) -> str:
        """The prompt and the text behind it, streamed; the same seed gives the same text."""
        wish = GenerationRequest(
            whole(length, "length"),
            number(temperature, "temperature"),
            whole(top_k, "top_k"),
            number(top_p, "top_p"),
            number(min_p, "min_p"),
        )
        seed_used = seed_for(None if seed is None else whole(seed, "seed"))
        prompt = words(prompt, "prompt")
        mark, _ = writers.read(words(model, "model"), prompt)
        for texts in writers.write(model, prompt, wish, seed_used):
            yield mark.text + texts[0]

    def expect(text: str = "", model: str = STARTER, temperature: float = 1.0) -> dict[str, float]:
        """What may come next after a text, and how likely it is drawn at this temperature."""
        wish = GenerationRequest(temperature=number(temperature, "temperature"))
        mark, _ = writers.read(words(model, "model"), words(text, "text"))
        return mark.expected(wish.sampler)

    def train(
        text: str, name: str, minutes: float = 2.0, split_on: str | None = None
    ) -> dict[str, Any]:
        """Begins to learn a text; `training` tells how it goes. split_on: line or blank-line."""
        if split_on not in (None, "line", "blank-line"):
            raise ChargenError(f"split_on is {split_on!r}; it can be line, blank-line or nothing")
        training_job.begin_training(
            job, words(text, "text"), words(name, "name"), number(minutes, "minutes"), split_on
        )
        return asdict(job.view())

    def train_classifier(
        table: str | None = None, name: str = "languages", minutes: float = 0.6
    ) -> dict[str, Any]:
        """Begins to learn from a table in CSV, or, without one, from sentences in 16 languages."""
        table = None if table is None else words(table, "table")
        name, length = words(name, "name"), number(minutes, "minutes")
        classify_tab.begin_training(job, table, name, length, ".csv")
        return asdict(job.view())

    def training() -> dict[str, Any]:
        """The training at work, or the last one: state, progress, curves, what it writes."""
        return asdict(job.view())

    def stop_training() -> dict[str, Any]:
        """Ends the training after its step; the best model so far is kept."""
        job.stop()
        return asdict(job.view())

    def classify(text: str, model: str) -> dict[str, float]:
        """The probability of each class, likeliest first."""
        return classify_tab.judge(store, words(model, "model"), words(text, "text"))[0]

    def surprise(text: str, model: str = STARTER) -> dict[str, Any]:
        """Bits of each character of a text (null for the first), and their mean."""
        found, _ = inspector.surprise(words(model, "model"), words(text, "text"))
        return {
            "bits_per_character": found.bits_per_character,
            "characters": [{"text": c.text, "bits": c.bits} for c in found.characters()],
        }

    def components(text: str, model: str = STARTER) -> list[dict[str, Any]]:
        """Components of the state that follow something one can name in a text, best first."""
        rows = inspector.components(words(model, "model"), words(text, "text"))
        return [row._asdict() for row in rows]

    def copies(text: str, model: str = STARTER, least: int = 30) -> dict[str, Any]:
        """Passages of a text that stand in the text that a model was trained on."""
        found = inspector.copies(words(model, "model"), words(text, "text"), whole(least, "least"))
        passages = [vars(passage) for passage in found.passages]
        return {"share": found.share, "passages": passages, "new_words": found.new_words}

    endpoints: list[tuple[Callable[..., Any], int]] = [
        (models, 8),
        (write, 8),
        (expect, 8),
        (train, 1),
        (train_classifier, 1),
        (training, 8),
        (stop_training, 1),
        (classify, 4),
        (surprise, 4),
        (components, 2),
        (copies, 2),
    ]
    for endpoint, at_once in endpoints:
        api(plainly(endpoint), api_name=endpoint.__name__, concurrency_limit=at_once)


def whole(value: Any, name: str) -> int:
    """A whole number; raises ChargenError for anything else that a request may hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ChargenError(f"{name} must be a whole number")
    return int(value)


def number(value: Any, name: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise ChargenError(f"{name} must be a number")
    return float(value)


def words(value: Any, name: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ChargenError(f"{name} must be a text")
    return value


def plainly(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint with ChargenError as what the caller is told; all other faults stay in the log."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def streamed(*args: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from handler(*args, **named)
            except ChargenError as error:
                raise gr.Error(str(error), print_exception=False) from error

        return streamed

    @functools.wraps(handler)
    def called(*args: Any, **named: Any) -> Any:
        try:
            return handler(*args, **named)
        except ChargenError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return called
