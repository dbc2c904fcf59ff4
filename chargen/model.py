"""The whole network in one file: a stack of recurrent layers over an embedding, and its two heads.

A recurrent network reads one token at a time and carries a state; all steps share their weights:

    S(t+1) = tanh(W X(t) + H S(t) + b)                                            (Elman 1990)

That is the simple cell (`rnn`). Its gradient shrinks by a factor at every step back in time, so it
cannot relate distant tokens (Bengio et al. 1994). The LSTM keeps a second state, the cell C, which
sigmoid gates f, i, o treat like a register: they mask it, add to it and read it out:

    C(t+1) = f * C(t) + i * tanh(...)      S(t+1) = o * tanh(C(t+1))   (Hochreiter, Schmidhuber 1997)

The GRU makes do with two gates and one state (Cho et al. 2014). Letters in the shapes: B batch, T
time, V vocabulary, E embedding, H hidden, C classes. This file knows neither text nor training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor, nn

from chargen import arguments
from chargen.errors import ChargenError
from chargen.modes import default_modes
from chargen.shapes import NORM_EPSILON, ClassifierConfig, ModelConfig

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

Array = npt.NDArray[Any]
Model = TypeVar("Model", bound=nn.Module)
# One tuple per layer: (h, c) for lstm, (h,) for gru and rnn, each tensor of shape (1, B, H).
State = list[tuple[Tensor, ...]]


class DropoutMask(NamedTuple):
    """Dropout masks, drawn for the whole batch and sliced per process.

    So they do not depend on the number of processes.
    """

    generator: torch.Generator
    lanes: slice = slice(None)  # those of this process
    batch: int | None = None  # B, of all processes, where `lanes` are not all
    scale: float = 1.0  # factor of the model's dropout

    def mask(self, like: Tensor, keep: float) -> Tensor:
        """Returns a mask of the shape and type of `like` (b, any).

        Its elements are 1 / `keep` with the probability `keep`, and else 0.
        """
        mask = like.new_empty(self.batch or len(like), *like.shape[1:])
        return mask.bernoulli_(keep, generator=self.generator)[self.lanes] / keep


class Stack(nn.Module):
    """An embedding and recurrent layers: tokens in, one vector per position out.

    A bidirectional stack has a second stack beside it, which reads every text from its last token to
    its first (Schuster and Paliwal 1997); the outputs of both are concatenated.

    Each layer's output is scaled to unit root mean square (Zhang and Sennrich 2019, RMSNorm) and
    added to the outputs of the layers below, so that every layer feeds the head directly. Both happen
    between the layers, where they leave the fused kernels whole.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        inputs = [config.embedding_size, *[config.passed] * (config.num_layers - 1)]
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
                    nn.init.orthogonal_(gate)  # preserves the length of the state (Saxe et al. 2013)
            else:
                nn.init.zeros_(weight)
            if "bias_ih" in name and config.cell == "lstm":
                # The order is i, f, g, o; a forget gate that begins open lets the gradient pass
                # (Jozefowicz et al. 2015).
                nn.init.ones_(weight[hidden : 2 * hidden])

    def initial_state(self, batch: int) -> State:
        """Returns the empty state of `batch` lanes: zeros."""
        zeros = self.embedding.weight.new_zeros(1, batch, self.config.hidden_size)
        return [(zeros, zeros) if self.config.cell == "lstm" else (zeros,) for _ in self.layers]

    def forward(
        self,
        ids: Tensor,
        state: State,
        dropout: DropoutMask | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Reads `ids` (T, B) from `state`; returns outputs (T, B, H) and the state after them.

        Without `dropout` there is none. A bidirectional stack needs the `lengths` (B,) of the texts
        and returns outputs (T, B, 2H); padding behind a text does not change its outputs.
        """
        return self.read(self.embedding(ids), state, dropout, lengths)

    def read(
        self,
        embedded: Tensor,
        state: State,
        dropout: DropoutMask | None = None,
        lengths: Tensor | None = None,
        trace: list[tuple[Tensor, Tensor]] | None = None,
    ) -> tuple[Tensor, State]:
        """Reads embeddings (T, B, E); see `forward`.

        The inputs (T, B, any) and outputs (T, B, H) of each layer are appended to `trace`.
        """
        if not self.config.bidirectional:
            return self._read_ahead(self.layers, embedded, state, dropout, trace)
        assert lengths is not None
        if self.config.passed == self.config.width:
            return self._read_joined(embedded, dropout, lengths), []
        # A direction never sees the other one, so that each can learn to predict what it reads next.
        ahead, _ = self._read_ahead(self.layers, embedded, state, dropout)
        reversed_ = _reverse(embedded, lengths)
        back, _ = self._read_ahead(self.backward_layers, reversed_, state, dropout)
        return torch.cat([ahead, _reverse(back, lengths)], -1), []  # (T, B, 2H)

    def _read_ahead(
        self,
        layers: nn.ModuleList,
        outputs: Tensor,
        state: State,
        dropout: DropoutMask | None,
        trace: list[tuple[Tensor, Tensor]] | None = None,
    ) -> tuple[Tensor, State]:
        """Reads through `layers`, each of which reads the sum of the outputs below."""
        after: State = []
        for depth, layer in enumerate(layers):
            before = state[depth]
            h, carried = layer(outputs, before if len(before) == 2 else before[0])  # (T, B, H)
            if trace is not None:
                trace.append((outputs, h))
            after.append(carried if isinstance(carried, tuple) else (carried,))
            normed = self._normed(h, dropout)
            outputs = normed if depth == 0 else outputs + normed
        return outputs, after

    def _read_joined(self, outputs: Tensor, dropout: DropoutMask | None, lengths: Tensor) -> Tensor:
        """Reads as bidirectional stacks of earlier versions do: a layer sees both directions below."""
        for depth, (layer, back_layer) in enumerate(
            zip(self.layers, self.backward_layers, strict=True)
        ):
            back = _reverse(back_layer(_reverse(outputs, lengths))[0], lengths)
            normed = self._normed(torch.cat([layer(outputs)[0], back], -1), dropout)  # (T, B, 2H)
            outputs = normed if depth == 0 else outputs + normed
        return outputs

    def _normed(self, h: Tensor, dropout: DropoutMask | None) -> Tensor:
        """Scales outputs (T, B, any) to unit root mean square, and drops some of them in training."""
        normed: Tensor = _RmsNorm.apply(h)  # type: ignore[no-untyped-call]
        if dropout is not None and self.config.dropout:
            # The mask is the same over the whole window (Gal and Ghahramani 2016).
            keep = 1 - dropout.scale * self.config.dropout
            normed = normed * dropout.mask(normed[0], keep)
        return normed


def _reverse(sequences: Tensor, lengths: Tensor) -> Tensor:
    """Reverses each text of `sequences` (T, B, any); the padding behind it stays there.

    So the fused kernel reads backward as fast as forward. Packed sequences, the usual way, fall off
    it on a CPU.
    """
    times = torch.arange(len(sequences), device=sequences.device)[:, None]  # (T, 1)
    sources = torch.where(times < lengths, lengths - 1 - times, times)  # (T, B)
    return sequences[sources, torch.arange(sequences.shape[1], device=sequences.device)]


class _RmsNorm(torch.autograd.Function):
    """h / sqrt(mean(h²) + ε) over the last axis, in the fewest passes over memory.

    On a CPU, `F.rms_norm` consists of elementary operations and takes eight times as long, a seventh
    of a whole training step.
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
        radial = (gradient * normed).mean(-1, keepdim=True)  # the part that would change the length
        result: Tensor = torch.addcmul(gradient, normed, radial, value=-1) * scale
        return result


class LanguageModel(nn.Module):
    """Predicts the next token at every position."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.bidirectional:
            raise ChargenError("a generator cannot look ahead: only a classifier can be bidirectional")
        self.config = config
        self.stack = Stack(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        # Small, so that training begins near a uniform prediction and has nothing to unlearn.
        nn.init.normal_(self.head.weight, std=0.3 * config.hidden_size**-0.5)
        nn.init.zeros_(self.head.bias)

    @classmethod
    @default_modes()
    def new(cls, config: ModelConfig, seed: int) -> LanguageModel:
        """Returns a model whose weights depend on `seed` alone; torch's global generator is untouched.

        Raises ChargenError where memory does not suffice.
        """
        with _seeded(config, seed):
            return cls(config)

    @classmethod
    @default_modes()
    def from_arrays(cls, config: ModelConfig, arrays: dict[str, Array]) -> LanguageModel:
        """Returns a model with the weights `arrays`, by their names; see `shapes.weight_shapes`."""
        return _with_weights(cls.new(config, seed=0), arrays)

    def arrays(self) -> dict[str, Array]:
        """Returns the weights by their names, in single precision, on the CPU."""
        return to_arrays(self)

    def initial_state(self, batch: int) -> State:
        """Returns the empty state of `batch` lanes: zeros."""
        return self.stack.initial_state(batch)

    def forward(
        self, ids: Tensor, state: State | None = None, dropout: DropoutMask | None = None
    ) -> tuple[Tensor, State]:
        """Reads `ids` (T, B) from `state`; returns logits (T, B, V) and the state after them.

        None is the empty state. Raises ChargenError where `ids` is no such tensor.
        """
        arguments.check_ids(ids)
        outputs, state = self.stack(ids, state or self.initial_state(ids.shape[1]), dropout)
        return self.head(outputs), state

    def scale_logits(self, factor: float) -> None:
        """Multiplies all logits by `factor`, the inverse of a temperature, for good."""
        self.head.weight.data.mul_(factor)
        self.head.bias.data.mul_(factor)


class Classifier(nn.Module):
    """Predicts the class of a whole text."""

    reader: nn.Linear  # of the first direction

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.stack = Stack(config)
        for name in config.readers:  # in training, they predict what each direction reads next
            setattr(self, name, nn.Linear(config.hidden_size, config.vocab_size))
        self.head = nn.Linear(config.width, config.classes)
        nn.init.zeros_(self.head.weight)  # a uniform prediction, to begin with
        nn.init.zeros_(self.head.bias)
        if config.pooling == "attention":
            self.attention = nn.Linear(config.width, 1)
            nn.init.zeros_(self.attention.weight)  # the mean, to begin with
            nn.init.zeros_(self.attention.bias)

    @classmethod
    @default_modes()
    def new(cls, config: ClassifierConfig, seed: int) -> Classifier:
        """Returns a model whose weights depend on `seed` alone; torch's global generator is untouched.

        Raises ChargenError where memory does not suffice.
        """
        with _seeded(config, seed):
            return cls(config)

    @classmethod
    @default_modes()
    def from_arrays(cls, config: ClassifierConfig, arrays: dict[str, Array]) -> Classifier:
        """Returns a model with the weights `arrays`, by their names; see `shapes.weight_shapes`."""
        return _with_weights(cls.new(config, seed=0), arrays)

    def initial_state(self, batch: int) -> State:
        """Returns an empty list: nothing is carried from text to text."""
        return []

    def forward(
        self, ids: Tensor, lengths: Tensor, dropout: DropoutMask | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reads texts (T, B) of `lengths` (B,); returns logits (B, C) and outputs (T, B, width).

        Padding behind a text takes no part: no output within a text depends on it, and only outputs
        within texts are pooled.
        """
        state = self.stack.initial_state(ids.shape[1])
        outputs, _ = self.stack(ids, state, dropout, lengths)
        return self.classify(outputs, lengths, dropout), outputs

    def readings(self, outputs: Tensor) -> list[tuple[nn.Linear, Tensor]]:
        """Returns a head for each direction, and the outputs (T, B, H) from which it predicts.

        It predicts the next token of the first direction, and the one before of the second.
        """
        parts = torch.split(outputs, self.config.hidden_size, -1)
        readers = [getattr(self, name) for name in self.config.readers]
        return list(zip(readers, parts, strict=False))

    def classify(self, outputs: Tensor, lengths: Tensor, dropout: DropoutMask | None = None) -> Tensor:
        """Returns logits (B, C) for outputs of the stack (T, B, width) on texts of `lengths` (B,)."""
        pooled = self.pool(outputs, lengths)  # (B, width)
        if dropout is not None and self.config.dropout:
            pooled = pooled * dropout.mask(pooled, 1 - self.config.dropout)
        logits: Tensor = self.head(pooled)
        return logits

    def pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Pools outputs (T, B, width) on texts of `lengths` (B,) to one vector each, (B, width)."""
        if self.config.pooling == "last":
            texts = torch.arange(len(lengths), device=outputs.device)
            ends = outputs[lengths - 1, texts]
            if not self.config.bidirectional:
                return ends
            # The backward half has read the whole text when it is at the first token.
            return torch.cat([ends.chunk(2, -1)[0], outputs[0].chunk(2, -1)[1]], -1)
        inside = self.is_inside(outputs, lengths)[..., None]  # (T, B, 1)
        if self.config.pooling == "mean":
            return (outputs * inside).sum(0) / lengths[:, None]
        if self.config.pooling == "max":
            return outputs.masked_fill(~inside, -torch.inf).amax(0)
        return (outputs * self.attention_weights(outputs, lengths)[..., None]).sum(0)

    def attention_weights(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Returns the weight of each position in attention pooling: (T, B), each text's sum is 1."""
        outside = ~self.is_inside(outputs, lengths)
        scores: Tensor = self.attention(outputs)[..., 0]
        return scores.masked_fill(outside, -torch.inf).softmax(0)

    @staticmethod
    def is_inside(outputs: Tensor, lengths: Tensor) -> Tensor:
        """Returns which positions (T, B) belong to a text rather than to its padding."""
        return torch.arange(len(outputs), device=outputs.device)[:, None] < lengths


@contextmanager
def _seeded(config: ModelConfig, seed: int) -> Iterator[None]:
    """Seeds torch's generator inside the `with` block only, and explains a lack of memory."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(arguments.count(seed, "seed"))
            yield
    except RuntimeError as error:  # torch raises it where it cannot allocate
        raise ChargenError(
            f"a model of {config.parameters:,} parameters ({config.parameters * 4 / 1e9:.1f} GB, "
            "three times that in training) does not fit in memory",
            "take a smaller {hidden_size}",
        ) from error


def to_arrays(model: nn.Module) -> dict[str, Array]:
    """Returns the weights of a model by their names, in single precision, on the CPU."""
    named = model.named_parameters()
    return {name: weight.detach().to("cpu", torch.float32).numpy() for name, weight in named}


def _with_weights(model: Model, arrays: dict[str, Array]) -> Model:
    for name, weight in model.named_parameters():
        weight.data.copy_(torch.from_numpy(arrays[name]))
    return model


def detach(state: State) -> State:
    """Returns `state` as values without history: no gradient flows back through them."""
    return [tuple(tensor.detach() for tensor in layer) for layer in state]
