"""What a visitor may see of the inside of a model, checked: a request need not come from the page."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import chargen
from chargen.errors import ChargenError
from chargen.inspection.components import ComponentCorrelation
from chargen.inspection.copies import Copies, Report
from chargen.inspection.gradients import GradientReach
from chargen.inspection.states import STATE_KINDS
from chargen.inspection.surprise import Surprise
from chargen.rendering.colouring import Glyph
from chargen.rendering.describe import state_glyphs
from chargen.runs.run import corpus_of
from chargen.web.generation import GenerationRequest, Writers
from chargen.web.model_store import ModelStore

LONGEST = 10_000  # characters that are looked at, some thousands in a second
LONGEST_COPY = 200_000  # characters looked for in a corpus
MEASURED = 6_000  # characters that a model writes, for its reach to be measured on
MOST_MODELS = 6
FARTHEST = 150  # characters back
CELLS_SECONDS = 10.0  # that each cell is trained, to be compared


@dataclass(frozen=True)
class Place:
    """A component of the state, or one of its gates."""

    layer: int  # from 1
    kind: str
    component: int  # from 0


class Inspector:
    """Looks inside of the models of a shelf."""

    def __init__(self, store: ModelStore, writers: Writers) -> None:
        self.store, self._writers = store, writers
        self._copies: dict[str, Copies] = {}

    def surprise(self, model: str, text: str) -> tuple[Surprise, list[str]]:
        """How surprising a text is, and a sentence for each character that another stands in for."""
        writer, text, notes = self._read(model, text)
        return writer.surprise(text), notes

    def components(self, model: str, text: str) -> list[ComponentCorrelation]:
        """Components that follow something one can name in a text."""
        writer, text, _ = self._read(model, text)
        return writer.components(text)

    def sample(self, model: str) -> str:
        """Something that a model has written, as a text to look at it with."""
        return self.store.writer(model).generate(length=400, temperature=0.7, seed=0)

    def kinds(self, model: str) -> list[str]:
        """What a layer of a model has: its cell, its hidden state, its gates."""
        return list(STATE_KINDS[self.store.writer(model).model.config.cell])

    def coloured(self, model: str, text: str, place: Place) -> tuple[list[Glyph], str]:
        """A text coloured by a component, and its range in words."""
        writer, text, _ = self._read(model, text)
        self._check(model, place)
        values = writer.states(text)[place.layer - 1][place.kind][:, place.component]
        told = (
            f"{place.kind} {place.component} of layer {place.layer}: from {values.min():+.2f} to "
            f"{values.max():+.2f}"
        )
        return state_glyphs(writer.pieces(text), values, place.kind), told

    def held(
        self, model: str, prompt: str, place: Place, value: float, wish: GenerationRequest, seed: int
    ) -> tuple[str, str, str]:
        """The prompt as it was read, and what stands behind it: freely, and with a component held."""
        self._check(model, place)
        mark, _ = self._writers.read(model, prompt)
        clamp = chargen.Clamp(place.layer, place.component, value)
        free, clamped = (
            prefix.generate(length=wish.length, temperature=wish.temperature, seed=seed)
            for prefix in (mark, mark.clamped(clamp))
        )
        return mark.text, free, clamped

    def copies(self, model: str, text: str, least: int = 30) -> Report:
        """What of a text stands in the text that a model was trained on."""
        if len(text) > LONGEST_COPY:
            raise ChargenError(
                f"the text has {len(text):,} characters; at most {LONGEST_COPY:,} are looked for"
            )
        record = self.store.writer(model).record
        sha256 = str(record.corpus.sha256)
        if sha256 not in self._copies:
            try:
                self._copies = {sha256: corpus_of(self.store.folder(model), record)}
            except ChargenError as error:
                raise ChargenError(error.message) from error
        return self._copies[sha256].report(text, least)

    def reach(self, models: list[str]) -> dict[str, GradientReach]:
        """How far back each of some models can learn from, on text that it has written itself."""
        if not 1 <= len(models) <= MOST_MODELS:
            raise ChargenError(f"choose between 1 and {MOST_MODELS} models")
        found = {}
        for model in models:
            writer = self.store.writer(model)
            some = "\n".join(
                writer.generate_many(num=6, length=MEASURED // 6, seed=0, temperature=1.0)
            )
            found[model] = writer.gradients(some, FARTHEST)
        return found

    def compare_cells(self) -> Iterator[tuple[float, dict[str, GradientReach]]]:
        """Trains an rnn, a gru and an lstm, in a process of its own that ends with the visitor's wish.

        Tells the seconds so far, at the end with what was found of each.
        """
        command = [sys.executable, "-m", "chargen", "inspect", "gradients", "--json"]
        options = ["--minutes", str(CELLS_SECONDS / 60), "--farthest", str(FARTHEST)]
        began = time.monotonic()
        with subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        ) as process:
            try:
                while True:
                    try:
                        out, _ = process.communicate(timeout=1)
                        break
                    except subprocess.TimeoutExpired:
                        yield time.monotonic() - began, {}
            finally:
                process.kill()
        if process.returncode:
            raise ChargenError("the cells could not be trained; `chargen inspect gradients` says why")
        yield (
            time.monotonic() - began,
            {
                row["name"]: GradientReach(
                    np.array(row["gradient"]), row["distances"], np.array(row["change"])
                )
                for row in json.loads(out)["models"]
            },
        )

    def _read(self, model: str, text: str) -> tuple[chargen.TextGenerator, str, list[str]]:
        if len(text) > LONGEST:
            raise ChargenError(
                f"the text has {len(text):,} characters; at most {LONGEST:,} are looked at here: take "
                "`chargen inspect` in a terminal"
            )
        writer = self.store.writer(model)
        known, notes = writer.tokenizer.adapt(
            text.replace("\r\n", "\n").replace("\r", "\n"), skip=True
        )
        if not known:
            raise ChargenError(
                "the model knows none of these characters: choose another, or other text"
            )
        return writer, known, notes

    def _check(self, model: str, place: Place) -> None:
        kinds = self.kinds(model)
        if place.kind not in kinds:
            raise ChargenError(f"the model has no {place.kind}; choose {', '.join(kinds)}")
        chargen.Clamp(place.layer, place.component, 0.0).check(self.store.writer(model).model.config)
