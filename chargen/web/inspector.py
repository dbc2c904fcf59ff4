"""Looking inside models for visitors: requests are checked here, as in `generation`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import chargen
from chargen.data.corpus import prepare
from chargen.data.text import BUILTIN
from chargen.errors import ChargenError
from chargen.experiments import compare_generators
from chargen.inspection.components import ComponentCorrelation
from chargen.inspection.copies import Copies, Report
from chargen.inspection.gradients import GradientReach, gradients
from chargen.inspection.states import STATE_KINDS
from chargen.inspection.surprise import Surprise
from chargen.rendering.colouring import Glyph
from chargen.rendering.describe import state_glyphs
from chargen.runs.saved import corpus_of
from chargen.shapes import ModelConfig, StateComponent
from chargen.web.apart import run_apart
from chargen.web.generation import Engine, GenerationRequest
from chargen.web.model_store import ModelStore

MAX_TEXT = 10_000  # characters to read; a model reads some thousands in a second
MAX_COPY_TEXT = 200_000  # characters to look for in a corpus
GRADIENT_TEXT = 6_000  # characters that a model writes to measure its gradients on
EXAMPLE_TEXT = 400  # characters that a model writes to be looked at with
MAX_ROUNDS = 20  # of texts that a model writes until there are enough characters
PROMPT = "The "
MAX_MODELS = 6
MAX_DISTANCE = 150  # characters back
CELLS = ("rnn", "gru", "lstm")
CELL_SECONDS, CELL_SIZE = 10.0, 128  # training time and hidden size of each cell in the comparison


class ColouredState(NamedTuple):
    """A text coloured by a component of the state while a model reads it."""

    glyphs: list[Glyph]
    title: str  # the component and the range of its values, in words
    least: float  # value of the cell's memory, in the text
    greatest: float


class Inspector:
    """Looks inside the models of a store.

    All methods raise ChargenError for an unknown model, and for a text that is too long or that has no
    character which the model knows.
    """

    def __init__(self, store: ModelStore, engine: Engine) -> None:
        self.store, self._engine = store, engine
        self._corpora: dict[str, Copies] = {}  # the one used last, by its checksum

    def surprise(self, model: str, text: str) -> tuple[Surprise, list[str]]:
        """Measures the surprise of a text; returns a sentence for each substituted character, too."""
        generator, text, notes = self._adapted(model, text)
        return generator.surprise(text), notes

    def components(self, model: str, text: str) -> list[ComponentCorrelation]:
        """Finds the components of the state that track something in a text, best first."""
        generator, text, _ = self._adapted(model, text)
        return generator.components(text)

    def example(self, model: str) -> str:
        """Returns a text that the model has written, always the same, to look at it with."""
        return self._written(model, EXAMPLE_TEXT, num=1, temperature=0.7)[:EXAMPLE_TEXT]

    def prompt(self, model: str) -> str:
        """Returns a short prompt that the model can read."""
        generator = self.store.generator(model)
        if generator.tokenizer.adapt(PROMPT, skip=True) == (PROMPT, []):
            return PROMPT
        words = self.example(model).split()
        return words[0][: len(PROMPT)] if words else ""

    def _written(self, model: str, characters: int, num: int, temperature: float) -> str:
        """Returns about `characters` or more, written by a model in `num` texts.

        A model of names or other short documents ends its texts early, and writes further ones. Raises
        ChargenError for a model that writes next to nothing.
        """
        generator = self.store.generator(model)
        split_on = generator.record.corpus.split_on or "line"
        separator = {"line": "\n", "blank-line": "\n\n"}.get(split_on, split_on)
        texts: list[str] = []
        for seed in range(MAX_ROUNDS):
            texts += generator.generate_many(
                num=64 if seed else num, length=characters // num, seed=seed, temperature=temperature
            )
            text = separator.join(filter(None, texts))
            if len(text) >= 0.9 * characters:
                return text
        raise ChargenError(
            f"{model!r} ends its texts so early that {len(texts):,} of them have {len(text):,} "
            "characters together",
            "take another {model}",
        )

    def kinds(self, model: str) -> list[str]:
        """Returns the kinds of component that a layer of the model has: cell, hidden, its gates."""
        return list(STATE_KINDS[self.config(model).cell])

    def config(self, model: str) -> ModelConfig:
        """Returns the shape of a model."""
        return self.store.generator(model).model.config

    def coloured(self, model: str, text: str, component: StateComponent) -> ColouredState:
        """Colours a text by the values of a component."""
        generator, text, _ = self._adapted(model, text)
        self._check(model, component)
        layer = generator.states(text)[component.layer - 1]
        values = layer[component.kind][:, component.index]
        memory = layer[self.kinds(model)[0]][:, component.index]  # which is what `clamped` fixes
        title = (
            f"{component.kind} {component.index} of layer {component.layer}: from {values.min():+.2f} "
            f"to {values.max():+.2f}"
        )
        glyphs = state_glyphs(generator.pieces(text), values, component.kind)
        return ColouredState(glyphs, title, float(memory.min()), float(memory.max()))

    def clamped(
        self,
        model: str,
        prompt: str,
        component: StateComponent,
        value: float,
        request: GenerationRequest,
        seed: int,
    ) -> tuple[str, str, str]:
        """Writes twice with the same seed: freely, and with a component clamped at `value`.

        Returns the prompt as the model has read it, and the two new texts.
        """
        self._check(model, component)
        prefix, _ = self._engine.read(model, prompt)
        clamp = chargen.Clamp(component.layer, component.index, value)
        free, clamped = (
            start.generate(length=request.length, temperature=request.temperature, seed=seed)
            for start in (prefix, prefix.clamped(clamp))
        )
        return prefix.text, free, clamped

    def copies(self, model: str, text: str, min_length: int = 30) -> Report:
        """Finds the passages of a text, from `min_length` characters on, in the model's corpus."""
        if len(text) > MAX_COPY_TEXT:
            raise ChargenError(
                f"the text has {len(text):,} characters; at most {MAX_COPY_TEXT:,} are looked for"
            )
        record = self.store.generator(model).record
        sha256 = str(record.corpus.sha256)
        if sha256 not in self._corpora:
            self._corpora = {sha256: corpus_of(self.store.folder(model), record)}
        return self._corpora[sha256].report(text, min_length)

    def gradients(self, models: list[str]) -> dict[str, GradientReach]:
        """Measures, by model, how far back each can learn from, on text that it has written itself."""
        if not 1 <= len(models) <= MAX_MODELS:
            raise ChargenError(f"choose between 1 and {MAX_MODELS} models")
        result = {}
        for model in models:
            text = self._written(model, GRADIENT_TEXT, num=6, temperature=1.0)
            result[model] = self.store.generator(model).gradients(text, MAX_DISTANCE)
        return result

    def compare_cells(self) -> Iterator[tuple[float, dict[str, GradientReach]]]:
        """Trains an RNN, a GRU and an LSTM for `CELL_SECONDS` each and measures their gradients.

        Yields (seconds so far, {}) about once a second, at the end (seconds, gradients by cell). When
        the iterator is closed, the training ends after its step.
        """
        for seconds, reaches in run_apart(_train_cells):
            yield seconds, reaches or {}

    def _adapted(self, model: str, text: str) -> tuple[chargen.TextGenerator, str, list[str]]:
        """Returns the generator, the text in characters that it knows, and what was changed."""
        if len(text) > MAX_TEXT:
            raise ChargenError(
                f"the text has {len(text):,} characters; at most {MAX_TEXT:,} are read here"
            )
        generator = self.store.generator(model)
        known, notes = generator.adapt(text.replace("\r\n", "\n").replace("\r", "\n"), skip=True)
        if not known:
            raise ChargenError(
                "the model knows none of these characters", "take another {model} or {text}"
            )
        return generator, known, notes

    def _check(self, model: str, component: StateComponent) -> None:
        kinds = self.kinds(model)
        if component.kind not in kinds:
            raise ChargenError(f"the model has no {component.kind}; choose {', '.join(kinds)}")
        component.check(self.config(model))


def _train_cells(check: Callable[[], None]) -> dict[str, GradientReach]:
    """Returns the gradients of each cell; calls `check` after each step of training."""
    reaches = {}
    corpus = prepare(chargen.Text.open([BUILTIN]))
    size = len(corpus.tokenizer)
    shapes = {cell: ModelConfig(size, cell, num_layers=1, hidden_size=CELL_SIZE) for cell in CELLS}
    for cell, generator, steps in compare_generators(corpus, shapes, minutes=CELL_SECONDS / 60):
        for _ in steps:
            check()
        reaches[cell] = gradients(generator.model, corpus.validation, MAX_DISTANCE)
    return reaches
