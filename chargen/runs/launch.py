"""A training from a request to its steps: text → corpus → plan → baselines → model → run.

    with Run("checkpoints/novel") as run:
        launch = NewTraining(run, TrainRequest(("novel.txt",), minutes=3))
        print(launch.corpus.name, launch.plan.reason, launch.baselines)
        for step in launch.start():
            ...

The command line and the page's worker both train through this file. A stage can take seconds, so it is
made when it is first read, and the caller reports one stage before the next begins. Several processes
must read the stages in the same order: the first process makes them for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from chargen.data.corpus import Corpus, prepare
from chargen.data.documents import SPLIT_SEED
from chargen.data.rows import SEPARATOR, open_corpus
from chargen.data.text import BUILTIN, Text
from chargen.device import find_device
from chargen.errors import ChargenError
from chargen.evaluation.baselines import baseline_bits
from chargen.generator import TextGenerator
from chargen.model import LanguageModel
from chargen.runs.run import ResumePoint, Run
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.loop import Step
from chargen.training.planner import Plan, plan

MINUTES = 5.0  # the budget of a request that names none
FIRST_SHARE = 0.05  # of a budget, after which its speed is known
# Fields of a request that a resumed training takes from its state: they decide the tokens of the text.
_READING = ("encoding", "text", "tokenizer", "vocab_size", "split_on", "val_fraction")
# States that were saved before there was one lack it.
_LATER = {"text": ()}


@dataclass(frozen=True)
class TrainRequest:
    """Everything that a person can ask of a training; the planner chooses the sizes that are None."""

    sources: tuple[str, ...] = ()  # files, folders, or "-"; the built-in corpus where there is none
    encoding: str = "utf-8"  # of the sources
    text: tuple[str, ...] = ()  # columns of a table, whose rows are then documents
    tokenizer: str = "char"  # char, byte, bpe or unigram
    vocab_size: int = 1024  # pieces of bpe and unigram
    split_on: str | None = None  # what separates documents: "line", "blank-line" or any other text
    val_fraction: float = 0.1  # of the text, to validate on
    minutes: float | None = None  # at most one budget is given
    epochs: float | None = None
    steps: int | None = None
    cell: str = "lstm"  # lstm, gru or rnn
    num_layers: int = 2
    hidden_size: int | None = None
    embedding_size: int | None = None
    dropout: float | None = None
    batch: int | None = None
    window: int | None = None
    learning_rate: float | None = None  # at its peak
    generations: int | None = None
    seed: int = 0
    precision: str = "auto"  # auto, fp32, bf16 or fp16
    device: str = "auto"  # auto, cpu, cuda or mps

    @property
    def budget(self) -> dict[str, Any]:
        """The budget that was given, by its name; empty where none was."""
        budgets = {"minutes": self.minutes, "epochs": self.epochs, "steps": self.steps}
        return {name: value for name, value in budgets.items() if value is not None}

    def open(self) -> Text:
        """Opens the sources; raises ChargenError for one that is not there."""
        return open_corpus(self.sources or (BUILTIN,), self.encoding, self.text)

    @property
    def separator(self) -> str | None:
        """The text between two documents; None for one continuous text."""
        return SEPARATOR if self.text else self.split_on

    def prepare(self, text: Text, ranks: Ranks = ALONE, split_seed: int | None = SPLIT_SEED) -> Corpus:
        """Tokenizes a text into the cache, in the main of several processes, or finds it there."""

        def corpus() -> Corpus:
            return prepare(
                text,
                kind=self.tokenizer,
                vocab_size=self.vocab_size,
                split_on=self.separator,
                val_fraction=self.val_fraction,
                split_seed=split_seed,
            )

        if ranks.size > 1:
            ranks.broadcast_object(lambda: corpus().name)  # the others wait for what it caches
        return corpus()

    def plan(self, corpus: Corpus) -> Plan:
        """Chooses the sizes that are None; measures the speed of the device for that."""
        budget = self.budget or {"minutes": MINUTES}
        config = TrainConfig(**budget, seed=self.seed, precision=self.precision)
        sizes = {
            "cell": self.cell,
            "num_layers": self.num_layers,
            "hidden_size": self.hidden_size,
            "embedding_size": self.embedding_size,
            "dropout": self.dropout,
            "batch": self.batch,
            "window": self.window,
            "learning_rate": self.learning_rate,
            "generations": self.generations,
        }
        return plan(corpus, find_device(self.device, self.precision), config, sizes)

    def settings(self, chosen: Plan) -> dict[str, Any]:
        """Returns what a state keeps of this request, by the names of the command line's options."""
        sources = self.sources or (BUILTIN,)
        return {
            # Absolute, so that the text is found again from another folder.
            "corpus": [str(Path(s).absolute()) if Path(s).exists() else s for s in sources],
            **{name: getattr(self, name) for name in _READING},
            "cell": chosen.model.cell,
            "layers": chosen.model.num_layers,
            "hidden": chosen.model.hidden_size,
            "embedding": chosen.model.embedding_size,
            "dropout": chosen.model.dropout,
            "batch": chosen.training.batch,
            "window": chosen.training.window,
            "lr": chosen.training.learning_rate,
            "generations": chosen.training.generations,
            "seed": self.seed,
            "precision": self.precision,
        }


class NewTraining:
    """A training that begins with its first step."""

    def __init__(self, run: Run, request: TrainRequest) -> None:
        self._run, self._request = run, request

    @cached_property
    def text(self) -> Text:
        """The opened sources; its notes are for the person who named them."""
        return self._request.open()

    @cached_property
    def corpus(self) -> Corpus:
        """The text in tokens, from the cache."""
        return self._request.prepare(self.text, self._run.ranks)

    @cached_property
    def plan(self) -> Plan:
        """The shape of the model, the settings of its training, and the reason for both."""
        return self._run.ranks.broadcast_object(lambda: self._request.plan(self.corpus))

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Bits per character of simpler models on the validation part, by their names."""
        return baseline_bits(self.corpus)

    def start(self) -> Iterator[Step]:
        """Makes the model and returns the steps of its training; see `Run.begin`.

        One of the first steps has a remark if the plan does not hold.
        """
        request, plan = self._request, self.plan
        device = find_device(request.device, request.precision)
        model = LanguageModel.new(plan.model, request.seed).to(device)
        writer = TextGenerator(model, self.corpus.tokenizer)
        parts = writer, self.corpus, plan.training, request.settings(plan), plan.threads
        steps = self._run.begin(*parts, baselines=self.baselines)
        return _corrected(steps, plan)


def _corrected(steps: Iterator[Step], plan: Plan) -> Iterator[Step]:
    """Yields `steps`; the first one from which the speed can be told has the plan's correction."""
    with closing(steps):  # type: ignore[type-var]
        for step in steps:
            if step.progress >= FIRST_SHARE and not step.remark:
                yield replace(step, remark=plan.correction(step))
                break
            yield step
        yield from steps


class ResumedTraining:
    """A training that continues from a saved state.

    `request` may name the sources anew and a larger budget; its other fields are ignored. Raises
    ChargenError for a state that does not say how its text was read; `text` raises it for another text
    than the training began with.
    """

    def __init__(self, run: Run, saved: ResumePoint, request: TrainRequest) -> None:
        try:
            reading = {name: (_LATER | saved.settings)[name] for name in _READING}
            sources = request.sources or tuple(saved.settings["corpus"])
        except KeyError:
            raise ChargenError(
                f"the training in {run.folder} was begun in Python, which does not keep how its text "
                "was read: continue it with Run.resume"
            ) from None
        self._run, self._saved = run, saved
        self._request = replace(request, sources=sources, **reading)

    @cached_property
    def text(self) -> Text:
        """The text that the training began with, opened anew."""
        text = self._request.open()
        self._saved.refuse_other_text(text.name, text.sha256)
        return text

    @cached_property
    def corpus(self) -> Corpus:
        """The text in the tokens of the saved model."""
        writer = self._saved.writer
        split_seed = writer.record.corpus.split_seed
        corpus = self._request.prepare(self.text, self._run.ranks, split_seed)
        if corpus.tokenizer.dump() != writer.tokenizer.dump():
            # Another version of SentencePiece has made other pieces of the same text.
            corpus = writer.prepare(self.text, self._request.val_fraction, split_seed)
        return corpus

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Bits per character of simpler models on the validation part, by their names."""
        return baseline_bits(self.corpus)

    def start(self) -> Iterator[Step]:
        """Returns the steps after the saved one; see `Run.resume`."""
        budget = self._request.budget
        return self._run.resume(self._saved, self.corpus, **budget, baselines=self.baselines)
