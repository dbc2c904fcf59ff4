"""The whole network in one file: a stack of recurrent layers over an embedding, and its two heads.

A recurrent network reads one symbol at a time and carries a state; all steps share their weights:

    S(t+1) = tanh(W X(t) + H S(t) + b)                                            (Elman 1990)

That is the simple cell (`rnn`). Its gradient shrinks by a factor at every step back in time, so it
cannot relate what is far apart (Bengio et al. 1994). The LSTM keeps a second state, the cell C, that
sigmoid gates f, i, o treat like a register that is masked, added to and read out:

    C(t+1) = f * C(t) + i * tanh(...)      S(t+1) = o * tanh(C(t+1))   (Hochreiter, Schmidhuber 1997)

The GRU does with two gates and one state (Cho et al. 2014). Letters in the shapes: B batch, T time,
V vocabulary, E embedding, H hidden. This file knows neither text nor training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from chargen.errors import ChargenError

POOLINGS = ("last", "mean", "max", "attention")
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
NORM_EPSILON = 1e-5
_LARGEST = 1 << 30  # of any size; no machine holds such a model


@dataclass(frozen=True)
class StateComponent:
    """One number of the state of a layer, or of one of its gates."""

    layer: int  # from 1
    index: int  # from 0 to H - 1
    kind: str = "cell"  # cell, hidden, or the name of a gate

    def check(self, config: ModelConfig) -> None:
        """Raises ChargenError where a model of this shape has no such component."""
        for name, number, first, count in (
            ("layer", self.layer, 1, config.num_layers),
            ("component", self.index, 0, config.hidden_size),
        ):
            if not first <= number < first + count:
                raise ChargenError(
                    f"the model has no {name} {number}",
                    f"take one from {first} to {first + count - 1}",
                )


# One tuple per layer: (h, c) for lstm, (h,) for gru and rnn, each tensor of shape (1, B, H).
State = list[tuple[Tensor, ...]]


class DropoutMask(NamedTuple):
    """Randomness for dropout: drawn for all lanes, of which some are read here.

    So what is hidden does not depend on how many processes share the lanes.
    """

    generator: torch.Generator
    lanes: slice = slice(None)
    of: int | None = None  # lanes in all, where these are not all of them
    share: float = 1.0  # of the model's dropout that is wanted

    def mask(self, like: Tensor, keep: float) -> Tensor:
        """Zeros, and 1 / keep at this share of places, of the shape and kind of a tensor (B, any)."""
        kept = like.new_empty(self.of or len(like), *like.shape[1:])
        return kept.bernoulli_(keep, generator=self.generator)[self.lanes] / keep


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a language model; raises ChargenError where a value makes no sense."""

    vocab_size: int  # V, ids that are told apart
    cell: str = "lstm"  # lstm, gru or rnn
    num_layers: int = 2  # each reads the output of the ones below
    hidden_size: int = 256  # H, numbers in the state of a layer
    embedding_size: int = 64  # E, numbers that stand for one id
    dropout: float = 0.0  # share of a layer's outputs hidden from the next while training, below 1
    bidirectional: bool = False  # read in both directions, as only a classifier can

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ChargenError(f"there is no cell {self.cell!r}; choose one of {', '.join(CELLS)}")
        for name in ("vocab_size", "num_layers", "hidden_size", "embedding_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= _LARGEST:
                raise ChargenError(
                    f"{name} must be a whole number from 1 to {_LARGEST:,}, got {value!r}"
                )
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ChargenError(f"dropout must be at least 0 and below 1, got {self.dropout!r}")
        if not isinstance(self.bidirectional, bool):
            raise ChargenError(f"bidirectional must be true or false, got {self.bidirectional!r}")

    @property
    def width(self) -> int:
        """Numbers that the stack gives per position."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    @property
    def stack_parameters(self) -> int:
        """How many numbers the stack learns."""
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[self.cell]
        inputs = self.embedding_size + (self.num_layers - 1) * self.width
        layers = gates * self.width * (inputs + self.num_layers * (self.hidden_size + 2))
        return self.vocab_size * self.embedding_size + layers

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return self.stack_parameters + self.vocab_size * (self.hidden_size + 1)

    @property
    def squares(self) -> int:
        """Numbers in one square for each matrix of a generator, as wide as what the matrix reads."""
        return 2 * (self.embedding_size**2 + self.num_layers * self.hidden_size**2)


@dataclass(frozen=True)
class ClassifierConfig(ModelConfig):
    """The shape of a classifier; raises ChargenError where a value makes no sense."""

    classes: int = 2  # C
    pooling: str = "mean"  # last, mean, max or attention: what of a text goes into the head

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.classes, int) or not 2 <= self.classes <= _LARGEST:
            raise ChargenError(f"classes must be a whole number of at least 2, got {self.classes!r}")
        if self.pooling not in POOLINGS:
            raise ChargenError(
                f"there is no pooling {self.pooling!r}; choose one of {', '.join(POOLINGS)}"
            )

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        attention = self.width + 1 if self.pooling == "attention" else 0
        reader = 0 if self.bidirectional else self.vocab_size * (self.width + 1)
        return self.stack_parameters + self.classes * (self.width + 1) + attention + reader


class Stack(nn.Module):
    """Embedding and recurrent layers: ids in, one vector per position out.

    A bidirectional stack has a second layer beside each, which reads every text from its last symbol
    to its first (Schuster and Paliwal 1997); their outputs stand side by side.

    Each layer's output is brought to unit root mean square (Zhang and Sennrich 2019, RMSNorm) and
    added to what the layers below gave, so that every layer feeds the head directly. Both happen
    between the layers, where they leave the fused kernels whole.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        inputs = [config.embedding_size, *[config.width] * (config.num_layers - 1)]
        self.layers = nn.ModuleList(CELLS[config.cell](size, hidden) for size in inputs)
        back = inputs if config.bidirectional else []
        self.backward_layers = nn.ModuleList(CELLS[config.cell](size, hidden) for size in back)
        for name, weight in [
            *self.layers.named_parameters(),
            *self.backward_layers.named_parameters(),
        ]:
            if "weight_ih" in name:
                nn.init.xavier_uniform_(weight)
            elif "weight_hh" in name:
                for gate in torch.split(weight, hidden):
                    nn.init.orthogonal_(gate)  # keeps the length of what it carries (Saxe et al. 2013)
            else:
                nn.init.zeros_(weight)
            if "bias_ih" in name and config.cell == "lstm":
                # Gates come as i, f, g, o; a forget gate that begins open lets the gradient pass
                # (Jozefowicz et al. 2015).
                nn.init.ones_(weight[hidden : 2 * hidden])

    def initial_state(self, batch: int) -> State:
        """The empty state: zeros."""
        zeros = self.embedding.weight.new_zeros(1, batch, self.config.hidden_size)
        return [(zeros, zeros) if self.config.cell == "lstm" else (zeros,) for _ in self.layers]

    def forward(
        self,
        ids: Tensor,
        state: State,
        dropout: DropoutMask | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Ids (T, B) and the state before them to outputs (T, B, H) and the state after them.

        Dropout happens only where the randomness for it is given. A bidirectional stack needs the
        lengths (B,) of the texts and gives (T, B, 2H); what stands behind a text changes nothing of
        what is given for the text itself.
        """
        return self.read(self.embedding(ids), state, dropout, lengths)

    def read(
        self,
        embedded: Tensor,
        state: State,
        dropout: DropoutMask | None = None,
        lengths: Tensor | None = None,
        seen: list[tuple[Tensor, Tensor]] | None = None,
    ) -> tuple[Tensor, State]:
        """The same from embeddings (T, B, E) on.

        What each layer reads (T, B, any) and gives (T, B, H) is added to `seen`.
        """
        outputs = embedded
        after: State = []
        for depth, layer in enumerate(self.layers):
            before = state[depth]
            h, carried = layer(outputs, before if len(before) == 2 else before[0])  # (T, B, H)
            if seen is not None:
                seen.append((outputs, h))
            after.append(carried if isinstance(carried, tuple) else (carried,))
            if self.config.bidirectional:
                assert lengths is not None
                back, _ = self.backward_layers[depth](_reverse(outputs, lengths))
                h = torch.cat([h, _reverse(back, lengths)], -1)  # (T, B, 2H)
            normed: Tensor = _RmsNorm.apply(h)  # type: ignore[no-untyped-call]
            if dropout is not None and self.config.dropout:
                # The same outputs are hidden over the whole window (Gal, Ghahramani 2016).
                keep = 1 - dropout.share * self.config.dropout
                normed = normed * dropout.mask(normed[0], keep)
            outputs = normed if depth == 0 else outputs + normed
        return outputs, after


def _reverse(sequences: Tensor, lengths: Tensor) -> Tensor:
    """Each text (T, B, any) from its last symbol to its first; what stands behind it stays there.

    So the kernel for whole batches reads backward as fast as forward. Packed sequences, the usual
    way, leave it on a CPU.
    """
    times = torch.arange(len(sequences), device=sequences.device)[:, None]  # (T, 1)
    places = torch.where(times < lengths, lengths - 1 - times, times)  # (T, B)
    return sequences[places, torch.arange(sequences.shape[1], device=sequences.device)]


class _RmsNorm(torch.autograd.Function):
    """h / sqrt(mean(h²) + ε) over the last axis, in the fewest passes over memory.

    On a CPU, `F.rms_norm` is put together from elementary operations and takes eight times as long,
    a seventh of a whole training step.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(h, dim=-1, keepdim=True)
        scale = (length.square() / h.shape[-1] + NORM_EPSILON).rsqrt()
        normed: Tensor = h * scale
        ctx.save_for_backward(normed, scale)
        return normed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        normed, scale = ctx.saved_tensors
        along = (gradient * normed).mean(-1, keepdim=True)  # the part that would change the length
        result: Tensor = torch.addcmul(gradient, normed, along, value=-1) * scale
        return result


class LanguageModel(nn.Module):
    """Predicts the next id at every position."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.bidirectional:
            raise ChargenError("a generator cannot look ahead: only classifiers are bidirectional")
        self.config = config
        self.stack = Stack(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        # Small, so that training begins at even odds rather than by unlearning a random opinion.
        nn.init.normal_(self.head.weight, std=0.3 * config.hidden_size**-0.5)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def new(cls, config: ModelConfig, seed: int) -> LanguageModel:
        """Fresh weights that depend on the seed alone; no global randomness is touched."""
        with _fresh(config, seed):
            return cls(config)

    def initial_state(self, batch: int) -> State:
        """The empty state: zeros."""
        return self.stack.initial_state(batch)

    def forward(
        self, ids: Tensor, state: State, dropout: DropoutMask | None = None
    ) -> tuple[Tensor, State]:
        """Ids (T, B) and a state to logits (T, B, V) and the state after the last id."""
        outputs, state = self.stack(ids, state, dropout)
        return self.head(outputs), state

    def scale_logits(self, factor: float) -> None:
        """Multiplies all logits from now on."""
        self.head.weight.data.mul_(factor)
        self.head.bias.data.mul_(factor)


class Classifier(nn.Module):
    """Says which class a whole text belongs to."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.stack = Stack(config)
        # What predicts the next symbol while training; one that reads ahead has nothing to predict.
        self.reader = None if config.bidirectional else nn.Linear(config.width, config.vocab_size)
        self.head = nn.Linear(config.width, config.classes)
        nn.init.zeros_(self.head.weight)  # at even odds
        nn.init.zeros_(self.head.bias)
        if config.pooling == "attention":
            self.attention = nn.Linear(config.width, 1)
            nn.init.zeros_(self.attention.weight)  # the mean, to begin with
            nn.init.zeros_(self.attention.bias)

    @classmethod
    def new(cls, config: ClassifierConfig, seed: int) -> Classifier:
        """Fresh weights that depend on the seed alone; no global randomness is touched."""
        with _fresh(config, seed):
            return cls(config)

    def initial_state(self, batch: int) -> State:
        """Nothing is carried from text to text."""
        return []

    def forward(
        self, ids: Tensor, lengths: Tensor, dropout: DropoutMask | None = None
    ) -> tuple[Tensor, Tensor]:
        """Texts (T, B) of these lengths (B,) to logits (B, C) and outputs of the stack (T, B, width).

        Padding behind a text takes no part: no output for a text depends on it, and only outputs for
        texts are pooled.
        """
        state = self.stack.initial_state(ids.shape[1])
        outputs, _ = self.stack(ids, state, dropout, lengths)
        return self.judge(outputs, lengths, dropout), outputs

    def judge(self, outputs: Tensor, lengths: Tensor, dropout: DropoutMask | None = None) -> Tensor:
        """Outputs of the stack (T, B, width) for texts of these lengths (B,) to logits (B, C)."""
        pooled = self.pool(outputs, lengths)  # (B, width)
        if dropout is not None and self.config.dropout:
            pooled = pooled * dropout.mask(pooled, 1 - self.config.dropout)
        logits: Tensor = self.head(pooled)
        return logits

    def pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """One vector (B, width) for each text of (T, B, width)."""
        if self.config.pooling == "last":
            texts = torch.arange(len(lengths), device=outputs.device)
            ends = outputs[lengths - 1, texts]
            if not self.config.bidirectional:
                return ends
            # The backward half has read the whole text when it is at its first symbol.
            return torch.cat([ends.chunk(2, -1)[0], outputs[0].chunk(2, -1)[1]], -1)
        inside = self.inside(outputs, lengths)[..., None]  # (T, B, 1)
        if self.config.pooling == "mean":
            return (outputs * inside).sum(0) / lengths[:, None]
        if self.config.pooling == "max":
            return outputs.masked_fill(~inside, -torch.inf).amax(0)
        return (outputs * self.weights(outputs, lengths)[..., None]).sum(0)

    def weights(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """How much attention pooling looks at each position: (T, B), each text's sum is 1."""
        outside = ~self.inside(outputs, lengths)
        scores: Tensor = self.attention(outputs)[..., 0]
        return scores.masked_fill(outside, -torch.inf).softmax(0)

    @staticmethod
    def inside(outputs: Tensor, lengths: Tensor) -> Tensor:
        """Which positions (T, B) belong to a text."""
        return torch.arange(len(outputs), device=outputs.device)[:, None] < lengths


@contextmanager
def _fresh(config: ModelConfig, seed: int) -> Iterator[None]:
    """Randomness of its own for new weights, and one sentence where memory does not suffice."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    except RuntimeError as error:  # what torch raises where memory does not suffice
        raise ChargenError(
            f"a model of {config.parameters:,} parameters ({config.parameters * 4 / 1e9:.1f} GB, "
            f"three times that in training) does not fit in memory; take a smaller --hidden"
        ) from error


def detach(state: State) -> State:
    """The same state without its history: what is carried on is a value, no gradient crosses."""
    return [tuple(tensor.detach() for tensor in layer) for layer in state]
