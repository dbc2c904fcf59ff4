"""A text generator: a tokenizer and a language model that belong together."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from chargen.data.cache import encode, encode_in_order
from chargen.data.corpus import Corpus, split
from chargen.data.documents import SPLIT_SEED, adapt, documents
from chargen.data.text import Text
from chargen.device import find_device
from chargen.evaluation.language import Score, evaluate
from chargen.generation.decoder import Decoder
from chargen.generation.prefix import Prefix
from chargen.generation.sampler import Sampler
from chargen.inspection.components import ComponentCorrelation, components
from chargen.inspection.gradients import GradientReach, gradients
from chargen.inspection.states import Layers, states
from chargen.inspection.surprise import Surprise, surprise
from chargen.model import LanguageModel, ModelConfig
from chargen.storage import checkpoint
from chargen.storage.record import CorpusRecord, Record
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.build import build_tokenizer
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.language_modeling import train
from chargen.training.loop import Step
from chargen.training.planner import fit_batch, measured_rate, refuse_large_batch
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
        self, model: LanguageModel, tokenizer: Tokenizer, record: Record | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.record = record or Record()
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
        """Returns an untrained generator; only the vocabulary comes from `text`.

        Args:
            text: the characters to build a vocabulary of, usually the text to train on.
            tokenizer: "char", "byte", "bpe" or "unigram".
            vocab_size: pieces of "bpe" and "unigram".
            split_on: "line", "blank-line" or any other separator. The text is then a collection of
                documents, and the generator learns where a document ends.
            cell: "lstm", "gru" or "rnn".
            num_layers: layers of the stack.
            hidden_size: H, numbers in the state of a layer.
            embedding_size: E, numbers that stand for a token.
            dropout: share of a layer's outputs that training hides from the next, from 0, below 1.
            seed: of the random weights.

        Raises:
            ChargenError: for a value out of range, and for a text without characters.
        """
        parts = Text.from_string(text).pieces()
        if split_on is not None:
            parts = documents(parts, split_on)
        built = build_tokenizer(tokenizer, parts, vocab_size, split_on is not None)
        config = ModelConfig(len(built), cell, num_layers, hidden_size, embedding_size, dropout)
        record = Record(CorpusRecord(split_on=split_on))
        return cls(LanguageModel.new(config, seed), built, record)

    @classmethod
    def load(cls, folder: str | Path) -> TextGenerator:
        """Loads a checkpoint folder. Raises ChargenError if it does not hold a sound generator."""
        model, tokenizer, record = checkpoint.load(Path(folder))
        return cls(model, tokenizer, Record.from_json(record))

    def save(self, folder: str | Path, half: bool = False) -> None:
        """Saves to a checkpoint folder; a model that was saved there before is replaced.

        With `half`, the weights are stored in 16 bits instead of 32, which halves the file and changes
        scores by less than 0.001 bits per character. Raises ChargenError if the folder cannot be
        written or holds files of the same names that are not a model's.
        """
        record = self.record.to_json()
        checkpoint.save(Path(folder), self.model, self.tokenizer, record, half)

    def prepare(
        self, text: str | Text, val_fraction: float = 0.1, split_seed: int | None = SPLIT_SEED
    ) -> Corpus:
        """Returns a text in this generator's tokens, in memory, split for training and validation.

        The last `val_fraction` of it is for validation; of documents, a choice that depends on
        `split_seed`, or for None the last ones. Raises ChargenError for a text that is too short to
        train on, and for characters that the vocabulary lacks.
        """
        source = Text.from_string(text) if isinstance(text, str) else text
        split_on = self._split_on
        if split_on is None or split_seed is None:
            ids = self._ids(source)
        else:
            ids = encode_in_order(source, self.tokenizer, split_on, split_seed)
        return split(ids, self.tokenizer, source, split_on, val_fraction, split_seed)

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
        refuse_large_batch(config, len(corpus.training))
        threads = None
        if learning_rate is None:
            learning_rate, threads = measured_rate(self.model, config, len(corpus.training))
        config = replace(config, learning_rate=learning_rate)
        return self.train_on(corpus, config, progress, ranks, threads)

    def train_on(
        self,
        corpus: Corpus,
        config: TrainConfig,
        state: TrainingState | None = None,
        ranks: Ranks = ALONE,
        threads: int | None = None,
    ) -> Iterator[Step]:
        """Trains step by step, exactly as `config` says; see `train`, which chooses what is left open.

        `record` names the corpus and the settings from the call on, and the scores from the first
        evaluation on. At most `threads` CPU threads are used.
        """
        self.record.corpus = CorpusRecord(
            corpus.name,
            corpus.sha256,
            corpus.size,
            corpus.split_on,
            corpus.val_fraction,
            corpus.split_seed,
        )
        self.record.training = asdict(config)
        return self._steps(corpus, config, state, ranks, threads)

    def _steps(
        self,
        corpus: Corpus,
        config: TrainConfig,
        state: TrainingState | None,
        ranks: Ranks,
        threads: int | None,
    ) -> Iterator[Step]:
        state = state or TrainingState.begin(self.model, config, ranks=ranks)
        state.threads = state.threads or threads
        for step in train(self.model, corpus, config, state, ranks):
            self._decoders.clear()  # their copies of the weights are out of date
            if step.score or step.finished:
                self.record.scores = _scores(step)
            yield step

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Iterator[str]:
        """Yields the prompt, then new text, piece by piece.

        Warns if a character of the prompt is replaced by a substitute, such as é by e.

        Args:
            prompt: what the text begins with.
            length: characters of new text, at most; a document may end before.
            temperature: 0 or more; 0 takes the likeliest token, below 1 is safer, above 1 wilder.
            top_k: 1 or more; draws among the k likeliest tokens only.
            top_p: above 0, at most 1; among the fewest tokens whose probabilities add up to p.
            min_p: from 0 to 1; among the tokens at least p times as likely as the likeliest.
            seed: 0 or more; the same seed gives the same text. None gives another one each time.
            stop: texts before which the new text ends.

        Raises:
            ChargenError: for a value out of range, and for a character of the prompt that the
                vocabulary lacks and has no substitute for.
        """
        prefix = self._read(prompt)
        sampler = Sampler(temperature, top_k, top_p, min_p)
        new = (pieces[0] for pieces in prefix.streams(1, length, sampler, seed, stop))
        return chain([prefix.text], new)

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> str:
        """Returns the prompt and new text; the arguments are those of `stream`."""
        prefix = self._read(prompt)
        sampler = Sampler(temperature, top_k, top_p, min_p)
        new = (pieces[0] for pieces in prefix.streams(1, length, sampler, seed, stop))
        return prefix.text + "".join(new)

    def generate_many(
        self,
        prompt: str = "",
        *,
        num: int,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Returns `num` texts, drawn together; the other arguments are those of `stream`.

        The first text is the one that `generate` gives with the same seed.
        """
        prefix = self._read(prompt)
        texts = prefix.generate_many(
            num=num,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            seed=seed,
            stop=stop,
        )
        return [prefix.text + new for new in texts]

    def read(self, text: str, weights: str = "fp32", device: str = "cpu") -> Prefix:
        """Reads a text, and returns the prefix that can be continued in any number of ways.

        Warns if a character is replaced by a substitute.

        Args:
            text: the prefix; it may be empty.
            weights: "fp32" or "int8". The latter takes a quarter of the memory traffic, which pays
                from hidden size 256 on and for many texts at once. It is a little less exact, so the
                same seed gives another text.
            device: "cpu" or "cuda", which pays for many texts at once.

        Raises:
            ChargenError: for unknown weights, for a device that is not there, and for a character that
                the vocabulary lacks and has no substitute for.
        """
        prefix = self._read(text, weights)
        target = find_device(device)
        if target.type == "cpu":
            return prefix
        return prefix.on_gpu(deepcopy(self.model).to(target).eval())

    def score(self, text: str | Text, window: int | None = None) -> Score:
        """Scores how well the model predicts a text; see `evaluation.language.evaluate`.

        With `window`, the state is reset every `window` tokens.
        """
        source = Text.from_string(text) if isinstance(text, str) else text
        return evaluate(self.model, self._ids(source), self.tokenizer, window)

    def surprise(self, text: str | Text) -> Surprise:
        """Returns the surprise at each character of a text, and what the model expected instead.

        Characters are adapted like those of a prompt, see `read`.
        """
        return surprise(self.model, self.tokenizer, self._adapted(text))

    def states(self, text: str | Text) -> Layers:
        """Returns states and gates while reading a text: for each layer, arrays (T, H) by name.

        The names are those of `inspection.states.STATE_KINDS`; `pieces` has the T texts.
        """
        return states(self.model, self._adapted(text))

    def pieces(self, text: str | Text) -> list[str]:
        """Returns the texts of the tokens (T,) that the model reads, one for each row of `states`."""
        return [self.tokenizer.name(token) for token in self._adapted(text).tolist()]

    def components(self, text: str | Text) -> list[ComponentCorrelation]:
        """Finds components of the state that correlate with a property of the text, strongest first.

        Raises ChargenError for a text of fewer than a hundred characters.
        """
        return components(self.model, self.tokenizer, self._adapted(text))

    def gradients(self, text: str | Text, farthest: int = 200, seed: int = 0) -> GradientReach:
        """Measures how far back the gradient and the memory reach, at distances 1 to `farthest`.

        `seed` draws the positions of the text at which they are measured. Raises ChargenError for a
        text that is too short.
        """
        return gradients(self.model, self._adapted(text), farthest, seed)

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        """Replaces characters that the vocabulary lacks, document by document; see `Tokenizer.adapt`.

        What separates the documents stays, although no document contains it.
        """
        return adapt(text, self.tokenizer, self._split_on, skip)

    def _adapted(self, text: str | Text) -> Ids:
        characters = text if isinstance(text, str) else "".join(text.pieces())
        return self._ids(Text.from_string(self._with_warnings(*self.adapt(_newlines(characters)))))

    def _ids(self, text: Text) -> Ids:
        """Returns the tokens of a text; the end symbol closes each document."""
        parts = list(encode(text, self.tokenizer, self._split_on))
        return np.concatenate(parts or [np.zeros(0, self.tokenizer.dtype)])

    @property
    def _split_on(self) -> str | None:
        return self.record.corpus.split_on

    def _read(self, text: str, weights: str = "fp32") -> Prefix:
        text = self._with_warnings(*self.tokenizer.adapt(_newlines(text)))
        if weights not in self._decoders:
            self._decoders[weights] = Decoder(self.model, weights)
        return Prefix.from_text(text, self.tokenizer, self._decoders[weights])

    def _with_warnings(self, adapted: str, notes: list[str]) -> str:
        """Returns an adapted text; warns of each substitution in it."""
        for note in notes:
            warnings.warn(note, stacklevel=_caller_level())
        return adapted


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _caller_level() -> int:
    """Returns the `stacklevel` at which a warning names the line that called this package.

    Python 3.12 has `skip_file_prefixes` for this.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    return level


def _scores(step: Step) -> dict[str, Any]:
    score = step.score
    return {
        **step.summary(),
        "val_nats_per_token": score.nats_per_token if score else None,
        "val_bits_per_character": score.bits_per_character if score else None,
        "val_characters": score.characters if score else None,
        "final": step.finished,
    }
