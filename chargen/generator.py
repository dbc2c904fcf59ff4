"""A text generator: a tokenizer and a language model that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from chargen import arguments
from chargen.data.cache import encode_in_order
from chargen.data.corpus import Corpus, split
from chargen.data.documents import SPLIT_SEED, documents, separator
from chargen.data.sources import Source, open_text
from chargen.errors import ChargenError
from chargen.generation.decoder import DecoderCache
from chargen.generation.prefix import Prefix
from chargen.generation.sampler import Sampler
from chargen.generation.weights import StoredWeights
from chargen.inspection.inspectable import Inspectable, as_lines
from chargen.portable import Portable
from chargen.rendering import progress as progress_bar
from chargen.shapes import ModelConfig
from chargen.storage import checkpoint
from chargen.storage.hub import local_folder
from chargen.storage.record import CorpusRecord, Record
from chargen.suggestions import MAKES, suggests
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.build import build_tokenizer

if TYPE_CHECKING:  # what trains or scores imports torch when it is called
    from chargen.evaluation.language import Score
    from chargen.model import LanguageModel
    from chargen.training.config import TrainConfig
    from chargen.training.distributed import Ranks
    from chargen.training.loop import Step
    from chargen.training.state import TrainingState

STARTER = Path(__file__).parent / "starter"


@suggests
class TextGenerator(Inspectable, Portable):
    """A language model with its tokenizer: trains on text, writes like it, scores text.

    writer = TextGenerator.new(text, hidden_size=256).fit(text, minutes=3)
    print(writer.generate("Once ", length=200, seed=1))

    Writing uses the weights that `model` has at the call, whatever has changed them. A generator that
    was loaded writes without torch, until its `model` is asked for.
    """

    def __init__(
        self, model: LanguageModel | StoredWeights, tokenizer: Tokenizer, record: Record | None = None
    ) -> None:
        if not hasattr(model, "arrays"):
            raise TypeError(f"a TextGenerator holds a LanguageModel; {MAKES['TextGenerator']}")
        self._weights: LanguageModel | StoredWeights = model
        self.tokenizer = tokenizer
        self.record = record or Record()
        self._decoders = DecoderCache()

    @property
    def config(self) -> ModelConfig:
        """The shape of the model."""
        return self._weights.config

    @property
    def model(self) -> LanguageModel:
        """The model, whose weights may be changed."""
        if isinstance(self._weights, StoredWeights):
            from chargen.model import LanguageModel

            self._weights = LanguageModel.from_arrays(self._weights.config, self._weights.by_name)
        return self._weights

    @model.setter
    def model(self, model: LanguageModel) -> None:
        self._weights = model

    def __repr__(self) -> str:
        name, bits = self.record.corpus.name, self.record.scores.get("val_bits_per_character")
        trained = f"trained on {name!r}" if name else "untrained"
        score = f": {bits:.2f} bits per character" if bits else ""
        unit = {"char": "characters", "byte": "bytes"}.get(self.tokenizer.kind, "pieces")
        vocabulary = f"{len(self.tokenizer):,} {unit}"
        return f"TextGenerator({self.config.summary()}, {vocabulary}, {trained}{score})"

    @classmethod
    def new(
        cls,
        text: Source,
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
            text: a string or the Path of a file, usually the text to train on. Its characters become
                the vocabulary.
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
        vocab_size = arguments.count(vocab_size, "vocab_size", 1)
        if split_on is not None and not arguments.text(split_on, "split_on"):
            raise ChargenError("split_on is empty", 'set {split_on} to "line", for example')
        parts = open_text(text).pieces()
        if split_on is not None:
            parts = documents(parts, split_on)
        built = build_tokenizer(tokenizer, parts, vocab_size, split_on is not None)
        from chargen.model import LanguageModel

        config = ModelConfig(len(built), cell, num_layers, hidden_size, embedding_size, dropout)
        record = Record(CorpusRecord(split_on=split_on))
        return cls(LanguageModel.new(config, seed), built, record)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> TextGenerator:
        """Loads a checkpoint folder, or without one the starter model that comes with the package.

        "hf:user/name" is a model on the Hugging Face Hub. Raises ChargenError if the folder does not
        hold a sound generator.
        """
        loaded = checkpoint.load(STARTER if folder is None else local_folder(folder))
        weights = StoredWeights(loaded.config, loaded.weights)
        return cls(weights, loaded.tokenizer, Record.from_json(loaded.record))

    def save(self, folder: str | Path, half: bool = False) -> None:
        """Saves to a checkpoint folder; a model that was saved there before is replaced.

        With `half`, the weights are stored in 16 bits instead of 32, which halves the file and changes
        scores by less than 0.001 bits per character. Raises ChargenError if the folder cannot be
        written or holds files of the same names that are not a model's.
        """
        parts = self.config, self._weights.arrays(), self.tokenizer, self.record.to_json()
        checkpoint.save(Path(folder), *parts, half)

    def prepare(
        self, text: Source, val_fraction: float = 0.1, split_seed: int | None = SPLIT_SEED
    ) -> Corpus:
        """Returns a text in this generator's tokens, in memory, split for training and validation.

        The last `val_fraction` of it is for validation; of documents, a choice that depends on
        `split_seed`, or for None the last ones. Raises ChargenError for a text that is too short to
        train on, and for characters that the vocabulary lacks.
        """
        val_fraction = arguments.number(val_fraction, "the validation fraction", least=0, below=1)
        source, split_on = open_text(text), self._split_on
        if split_on is None or split_seed is None:
            ids = self._ids(source)
        else:
            split_seed = arguments.count(split_seed, "split_seed")
            ids = encode_in_order(source, self.tokenizer, split_on, split_seed)
        return split(ids, self.tokenizer, source, split_on, val_fraction, split_seed)

    def train(
        self,
        text: Source | Corpus,
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
        ranks: Ranks | None = None,
    ) -> Iterator[Step]:
        """Trains step by step; yields what each step gave. Nothing happens before the first one.

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
        from chargen.training.config import TrainConfig
        from chargen.training.planner import fit_settings

        corpus = text if isinstance(text, Corpus) else self.prepare(text, val_fraction)
        config = TrainConfig(
            minutes, epochs, steps, seed=seed, precision=precision, generations=generations
        )
        sizes = {"batch": batch, "window": window, "learning_rate": learning_rate}
        config, threads = fit_settings(self.model, config, len(corpus.training), sizes)

        def lazily() -> Iterator[Step]:
            yield from self.train_on(corpus, config, progress, ranks, threads)

        return lazily()

    def fit(
        self,
        text: Source | Corpus,
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
    ) -> Self:
        """Trains to the end of the budget, with a progress bar in a terminal and in a notebook.

        Returns the generator itself. The parameters are those of `train`, which gives each step.
        """
        training = self.train(
            text,
            minutes=minutes,
            epochs=epochs,
            steps=steps,
            val_fraction=val_fraction,
            batch=batch,
            window=window,
            learning_rate=learning_rate,
            seed=seed,
            precision=precision,
            generations=generations,
        )
        progress_bar.show(training, lambda step: f"{step.val_bits_per_character:.3f} bits/character")
        return self

    def train_on(
        self,
        corpus: Corpus,
        config: TrainConfig,
        state: TrainingState | None = None,
        ranks: Ranks | None = None,
        threads: int | None = None,
    ) -> Iterator[Step]:
        """Trains step by step, exactly as `config` says; see `train`, which chooses what is left open.

        `record` names the corpus and the settings from the call on, and the scores from the first
        evaluation on. At most `threads` CPU threads are used.
        """
        held_out = corpus.split_on, corpus.val_fraction, corpus.split_seed
        self.record.corpus = CorpusRecord(corpus.name, corpus.sha256, corpus.size, *held_out)
        self.record.training = asdict(config)
        return self._steps(corpus, config, state, ranks, threads)

    def _steps(
        self,
        corpus: Corpus,
        config: TrainConfig,
        state: TrainingState | None,
        ranks: Ranks | None,
        threads: int | None,
    ) -> Iterator[Step]:
        from chargen.training.distributed import ALONE
        from chargen.training.language_modeling import scores_of, train
        from chargen.training.state import TrainingState

        ranks = ranks or ALONE
        state = state or TrainingState.begin(self.model, config, ranks=ranks)
        state.threads = state.threads or threads
        for step in train(self.model, corpus, config, state, ranks):
            if step.score or step.finished:
                self.record.scores = scores_of(step)
            yield step

    def stream(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
    ) -> Iterator[str]:
        """Yields the prompt, then new text, piece by piece.

        Warns if a character of the prompt is replaced by a substitute, such as é by e.

        Args:
            prompt: what the text begins with.
            length: characters of new text, at most; a document may end earlier.
            temperature: 0 or more; 0 takes the likeliest token, below 1 is safer, above 1 wilder.
            top_k: 1 or more; draws among the k likeliest tokens only.
            top_p: above 0, at most 1; draws among the likeliest tokens, as many as together have the
                probability p.
            min_p: from 0 to 1; draws among the tokens at least p times as likely as the likeliest.
            seed: 0 or more; the same seed gives the same text. None gives another one each time.
            stop: a text, or several, before which the new text ends.

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
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
    ) -> str:
        """Returns one string, the prompt and the new text; the arguments are those of `stream`."""
        prefix = self._read(prompt)
        sampler = Sampler(temperature, top_k, top_p, min_p)
        new = (pieces[0] for pieces in prefix.streams(1, length, sampler, seed, stop))
        return prefix.text + "".join(new)

    def generate_many(
        self,
        prompt: str = "",
        num: int = 1,
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
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
                from hidden size 256 on and for many texts at once. The same seed gives another text
                than with fp32, and the same one on every machine.
            device: "cpu" or "cuda", which pays for many texts at once.

        Raises:
            ChargenError: for unknown weights, for a device that is not there, and for a character that
                the vocabulary lacks and has no substitute for.
        """
        prefix = self._read(text, weights)
        if device == "cpu":
            return prefix
        from chargen.device import find_device

        target = find_device(device)
        if target.type == "cpu":  # the choice of "auto"
            return prefix
        return prefix.on_gpu(deepcopy(self.model).to(target).eval())

    def score(self, text: Source, window: int | None = None) -> Score:
        """Scores how well the model predicts a text; see `evaluation.language.evaluate`.

        With `window`, the state is reset every `window` tokens.
        """
        from chargen.evaluation.language import evaluate

        window = None if window is None else arguments.count(window, "window", 1)
        return evaluate(self.model, self._ids(open_text(text)), self.tokenizer, window)

    def _read(self, text: str, weights: str = "fp32") -> Prefix:
        is_number = isinstance(text, int)
        instead = f"a number of characters is length={text}" if is_number else ""
        text = arguments.text(text, "the prompt", instead)
        text = self._with_warnings(*self.tokenizer.adapt(as_lines(text)))
        prefix = Prefix.from_text(text, self.tokenizer, self._decoders.find(self._weights, weights))
        return prefix if self._split_on is None else prefix.separated(separator(self._split_on))
