"""The page for programs: endpoints with names and types, as `gradio_client` calls them."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from chargen.errors import ChargenError
from chargen.web import classification, training_job
from chargen.web.generation import MAX_LENGTH, MAX_SEED, Engine, GenerationRequest, seed_or_new
from chargen.web.gradio_setup import api, gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import CLASSIFIER, GENERATOR, STARTER, ModelStore
from chargen.web.numbers import integer, number
from chargen.web.training_job import TrainingJob

MAX_COUNT = 1_000_000  # for whole numbers that need no limit of their own


def build(store: ModelStore, engine: Engine, inspector: Inspector, job: TrainingJob) -> None:
    """Adds the endpoints to the page that is being built.

    Programs see the signatures and docstrings.
    """

    def models() -> dict[str, list[str]]:
        """Returns the names of the generators and of the classifiers, newest first."""
        return {"generators": store.names(GENERATOR), "classifiers": store.names(CLASSIFIER)}

    # Gradio takes the return type for that of each item.
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
        """Streams the prompt and the new text so far; the same seed gives the same text."""
        request = GenerationRequest(
            integer(length, "length", 0, MAX_LENGTH),
            number(temperature, "temperature", 0),
            integer(top_k, "top_k", 0, MAX_COUNT),
            number(top_p, "top_p", 0, 1),
            number(min_p, "min_p", 0, 1),
        )
        seed = seed_or_new(None if seed is None else integer(seed, "seed", 0, MAX_SEED))
        prompt = string(prompt, "prompt")
        prefix, _ = engine.read(string(model, "model"), prompt)
        for texts in engine.stream(model, prompt, request, seed):
            yield prefix.text + texts[0]

    def expect(text: str = "", model: str = STARTER, temperature: float = 1.0) -> dict[str, float]:
        """Returns what may come next after a text, with its probability at this temperature."""
        request = GenerationRequest(temperature=number(temperature, "temperature", 0))
        prefix, _ = engine.read(string(model, "model"), string(text, "text"))
        return prefix.expected(request.sampler)

    def train(
        text: str, name: str, minutes: float = 2.0, split_on: str | None = None
    ) -> dict[str, Any]:
        """Starts to train on a text; `training` reports on it. split_on: line or blank-line."""
        if split_on not in (None, "line", "blank-line"):
            raise ChargenError(f"split_on is {split_on!r}; it can be line, blank-line or nothing")
        training_job.start_generator(
            job, string(text, "text"), string(name, "name"), number(minutes, "minutes"), split_on
        )
        return job.status.as_json()

    def train_classifier(
        table: str | None = None, name: str = "languages", minutes: float = 0.6
    ) -> dict[str, Any]:
        """Starts to train on a table in CSV, or without one on sentences in 16 languages."""
        table = None if table is None else string(table, "table")
        name, minutes = string(name, "name"), number(minutes, "minutes")
        training_job.start_classifier(job, table, name, minutes, ".csv")
        return job.status.as_json()

    def training() -> dict[str, Any]:
        """Returns the state, progress, curves and sample of the current or last training."""
        return job.status.as_json()

    def stop_training() -> dict[str, Any]:
        """Ends the training after its current step; its best model so far is saved."""
        job.stop()
        return job.status.as_json()

    def classify(text: str, model: str) -> dict[str, float]:
        """Returns the probability of each class, likeliest first."""
        return classification.classify(store, string(model, "model"), string(text, "text"))[0]

    def surprise(text: str, model: str = STARTER) -> dict[str, Any]:
        """Returns the bits of each character of a text (null for the first), and their mean."""
        result, _ = inspector.surprise(string(model, "model"), string(text, "text"))
        return {
            "bits_per_character": result.bits_per_character,
            "characters": [{"text": c.text, "bits": c.bits} for c in result.characters()],
        }

    def components(text: str, model: str = STARTER) -> list[dict[str, Any]]:
        """Returns the components of the state that track something in a text, best first."""
        rows = inspector.components(string(model, "model"), string(text, "text"))
        return [
            {
                "property": row.property,
                "layer": row.component.layer,
                "kind": row.component.kind,
                "component": row.component.index,
                "correlation": row.correlation,
            }
            for row in rows
        ]

    def copies(text: str, model: str = STARTER, least: int = 30) -> dict[str, Any]:
        """Returns the passages, from `least` characters on, that a text shares with the corpus."""
        report = inspector.copies(
            string(model, "model"), string(text, "text"), integer(least, "least", 1, MAX_COUNT)
        )
        passages = [
            {
                "start": passage.start,
                "length": passage.length,
                "place": passage.position,
                "line": passage.line,
                "occurrences": passage.occurrences,
            }
            for passage in report.passages
        ]
        return {"share": report.share, "passages": passages, "new_words": report.new_words}

    # How many calls of each endpoint are answered at a time; all others wait.
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
    for endpoint, limit in endpoints:
        api(with_errors(endpoint), api_name=endpoint.__name__, concurrency_limit=limit)


def string(value: Any, name: str) -> str:
    """Returns a text; raises ChargenError for anything else."""
    if not isinstance(value, str):
        raise ChargenError(f"{name} must be a text")
    return value


def with_errors(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the endpoint with the text of a ChargenError as its answer.

    Hints name the parameters of the endpoint. All other exceptions stay in the log.
    """
    parameters = inspect.signature(endpoint).parameters

    def answer(error: ChargenError) -> gr.Error:
        text = error.text(lambda term: term if term in parameters else None)
        return gr.Error(text, print_exception=False)

    if inspect.isgeneratorfunction(endpoint):

        @functools.wraps(endpoint)
        def streaming(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                yield from endpoint(*args, **kwargs)
            except ChargenError as error:
                raise answer(error) from error

        return streaming

    @functools.wraps(endpoint)
    def calling(*args: Any, **kwargs: Any) -> Any:
        try:
            return endpoint(*args, **kwargs)
        except ChargenError as error:
            raise answer(error) from error

    return calling
