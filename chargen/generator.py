"""What a user holds to write with: a tokenizer and a network that belong together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from chargen.data.cache import encode
from chargen.data.corpus import Corpus, split
from chargen.data.text import Text
from chargen.device import find_device
from chargen.evaluation.language import Score, evaluate
from chargen.generation.decoder import Decoder
from chargen.generation.prefix import Prefix
from chargen.inspection import components, states
from chargen.inspection import gradients as reach
from chargen.inspection.surprise import Surprise, surprise
from chargen.model import LanguageModel, ModelConfig
from chargen.storage import checkpoint
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.build import build_tokenizer
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.language_modeling import train
from chargen.training.loop import Step
from chargen.training.planner import fit_batch, suited_rate
from chargen.training.state import TrainingState

STARTER = Path(__file__).parent / "starter"


class TextGenerator:
    """A language model with its tokenizer: trains on text, writes like it, scores text.

    writer = TextGenerator.new(text, hidden_size=256)
    for step in writer.train(text, minutes=3):
        ...
    print(writer.generate("Once ", length=200, seed=1))
    """

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, record: dict[str, Any] | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.record = record or {}  # corpus, training and scores, as in config.json
        self._decoders: dict[str, Decoder] = {}  # by the kind of their weights

    @classmethod
    def new(
        cls,
        text: str,
        *,
        tokenizer: str = "char",
        vocab_size: int = 1024,
        split_on: str | None = None,
        cell: str = "lstm",
        num_layers: int = 2,
        hidden_size: int = 256,
        embedding_size: int = 64,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> TextGenerator:
        """An untrained generator for texts like this one.

        With `split_on` ("line", "blank-line", or any other separator), the text is a collection of
        documents, and the generator learns where one ends.
        """
        built = build_tokenizer(
            tokenizer, Text.from_string(text).pieces(), vocab_size, split_on is not None
        )
        config = ModelConfig(len(built), cell, num_layers, hidden_size, embedding_size, dropout)
        return cls(LanguageModel.new(config, seed), built, {"corpus": {"split_on": split_on}})

    @classmethod
    def load(cls, folder: str | Path) -> TextGenerator:
        """Reads a checkpoint folder; raises ChargenError where it does not hold a sound model."""
        return cls(*checkpoint.load(Path(folder)))

    def save(self, folder: str | Path, half: bool = False) -> None:
        """Writes a checkpoint folder, or the next state of the one that is there.

        With `half`, the weights take 16 bits each: half the size, and no difference in a score's
        third decimal.
        """
        kept = {k: v for k, v in self.record.items() if k not in ("format", "kind", "model")}
        checkpoint.save(Path(folder), self.model, self.tokenizer, kept, half)

    def prepare(self, text: str | Text, val_fraction: float = 0.1) -> Corpus:
        """A text as this generator reads it, in memory, its last part kept apart to measure by."""
        source = Text.from_string(text) if isinstance(text, str) else text
        ids = self._ids(source)
        return split(ids, self.tokenizer, source, self._split_on, val_fraction)

    def train(
        self,
        text: str | Text | Corpus,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        val_fraction: float = 0.1,
        batch: int | None = None,
        window: int | None = None,
        learning_rate: float | None = None,
        seed: int = 0,
        precision: str = "auto",
        generations: int = 1,
        progress: TrainingState | None = None,
        ranks: Ranks = ALONE,
    ) -> Iterator[Step]:
        """Trains step by step; yields what each step gave.

        The budget is one of `minutes`, `epochs` (passes over the training part) and `steps`; without
        one, five minutes. Without `batch` and `window`, a short text gets smaller ones than a long
        text; without `learning_rate`, a short budget gets a higher one than a long budget.
        `val_fraction` is the share of the text, from its end, to validate on. `progress` is the state
        of an earlier training to continue from, which `Run` keeps in a folder; `ranks` says which of
        several processes this is. Raises ChargenError for a value that makes no sense, and for a text
        that is too short to learn from.
        """
        if minutes is None and epochs is None and steps is None:
            minutes = 5
        corpus = text if isinstance(text, Corpus) else self.prepare(text, val_fraction)
        config = TrainConfig(
            minutes, epochs, steps, seed=seed, precision=precision, generations=generations
        )
        fitting = fit_batch(config, len(corpus.training))
        config = replace(config, batch=batch or fitting.batch, window=window or fitting.window)
        if learning_rate is None:
            learning_rate = suited_rate(self.model, config, len(corpus.training))
        config = replace(config, learning_rate=learning_rate)
        return self.train_on(corpus, config, progress, ranks)

    def train_on(
        self,
        corpus: Corpus,
        config: TrainConfig,
        state: TrainingState | None = None,
        ranks: Ranks = ALONE,
    ) -> Iterator[Step]:
        """Trains step by step, exactly as `config` says; see `train`, which chooses what is left open.

        `record` names the corpus and the settings from the call on, and the scores from the first
        evaluation on.
        """
        self.record["corpus"] = {
            "name": corpus.name,
            "sha256": corpus.sha256,
            "bytes": corpus.size,
            "split_on": corpus.split_on,
            "val_fraction": corpus.val_fraction,
        }
        self.record["training"] = asdict(config)
        return self._steps(train(self.model, corpus, config, state, ranks))

    def _steps(self, steps: Iterator[Step]) -> Iterator[Step]:
        for step in steps:
            self._decoders.clear()  # their copies of the weights are out of date
            if step.score or step.finished:
                self.record["scores"] = _scores(step)
            yield step

    def stream(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """The prompt, then new text, piece by piece; `Mark.stream` has the options.

        Raises ChargenError for a prompt with a character that has no relative in the vocabulary; warns
        where a relative stands in.
        """
        mark = self._read(prompt)
        return chain([mark.text], mark.stream(**options))

    def generate(self, prompt: str = "", **options: Any) -> str:
        """The whole of `stream`, which takes the same options."""
        return "".join(self.stream(prompt, **options))

    def generate_many(self, prompt: str = "", *, num: int, **options: Any) -> list[str]:
        """Several texts written side by side; the first is that of `generate` with the same seed."""
        mark = self._read(prompt)
        return [mark.text + new for new in mark.generate_many(num=num, **options)]

    def read(self, text: str, weights: str = "fp32", device: str = "cpu") -> Prefix:
        """The place after a text, from which any number of texts can go on; see `Mark`.

        Weights of "int8" are read four times as fast, which pays from hidden 256 on and for many texts
        at once, and are a little less exact: what is written differs from that of "fp32". On "cuda",
        the model goes on there, which pays for many texts.
        Raises ChargenError for a character that has no relative in the vocabulary; warns where a
        relative stands in.
        """
        mark = self._read(text, weights)
        place = find_device(device)
        return mark if place.type == "cpu" else mark.on_gpu(deepcopy(self.model).to(place).eval())

    def score(self, text: str | Text, window: int | None = None) -> Score:
        """How well the model predicts a text; see `evaluation.evaluate`."""
        source = Text.from_string(text) if isinstance(text, str) else text
        return evaluate(self.model, self._ids(source), self.tokenizer, window)

    def surprise(self, text: str | Text) -> Surprise:
        """How much each character of a text surprises the model, and what it had expected instead.

        Characters are adapted as those of a prompt; see `read`.
        """
        return surprise(self.model, self.tokenizer, self._adapted(text))

    def states(self, text: str | Text) -> states.Layers:
        """What goes on in each layer while it reads a text: arrays (T, H) by name, see `states`."""
        return states.states(self.model, self._adapted(text))

    def pieces(self, text: str | Text) -> list[str]:
        """The text in the pieces that are read one by one, each with a row in `states`."""
        return [self.tokenizer.name(token) for token in self._adapted(text).tolist()]

    def components(self, text: str | Text) -> list[components.Component]:
        """The components of the state that follow something one can name in a text, best first."""
        return components.components(self.model, self.tokenizer, self._adapted(text))

    def reach(self, text: str | Text, farthest: int = 200, seed: int = 0) -> reach.GradientReach:
        """How far back the gradient and the memory of the model reach, measured on a text."""
        return reach.reach(self.model, self._adapted(text), farthest, seed)

    def _adapted(self, text: str | Text) -> Ids:
        whole = text if isinstance(text, str) else "".join(text.pieces())
        return self._ids(Text.from_string(self._adapt(whole)))

    def _ids(self, text: Text) -> Ids:
        """A whole text in memory, each document closed by the end symbol."""
        parts = list(encode(text, self.tokenizer, self._split_on))
        return np.concatenate(parts or [np.zeros(0, self.tokenizer.dtype)])

    @property
    def _split_on(self) -> str | None:
        split_on: str | None = self.record.get("corpus", {}).get("split_on")
        return split_on

    def _read(self, text: str, weights: str = "fp32") -> Prefix:
        text = self._adapt(text)
        if weights not in self._decoders:
            self._decoders[weights] = Decoder(self.model, weights)
        return Prefix.from_text(text, self.tokenizer, self._decoders[weights])

    def _adapt(self, text: str) -> str:
        """A text in characters that the model knows; warns whoever called the public method."""
        text, notes = self.tokenizer.adapt(text.replace("\r\n", "\n").replace("\r", "\n"))
        for note in notes:
            warnings.warn(note, stacklevel=4)
        return text


def _scores(step: Step) -> dict[str, Any]:
    score = step.score
    return {
        **step.summary(),
        "val_nats_per_token": score.nats_per_token if score else None,
        "val_bits_per_character": score.bits_per_character if score else None,
        "val_characters": score.characters if score else None,
        "final": step.finished,
    }
