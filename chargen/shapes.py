"""The shapes of the networks in `model`; to know them, no torch is needed.

Letters: V vocabulary, E embedding, H hidden, C classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from chargen import arguments
from chargen.errors import ChargenError

GATES = {"lstm": 4, "gru": 3, "rnn": 1}  # of each cell, the candidate among them
POOLINGS = ("last", "mean", "max", "attention")
NORM_EPSILON = 1e-5
MAX_SIZE = 1 << 30  # of any field; no machine holds a model with one


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


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a language model; raises ChargenError for a value outside its range."""

    vocab_size: int  # V, tokens in the vocabulary
    cell: str = "lstm"  # lstm, gru or rnn
    num_layers: int = 2  # each reads the sum of the outputs below
    hidden_size: int = 256  # H, components of the state of a layer
    embedding_size: int = 64  # E, components of the vector of a token
    dropout: float = 0.0  # share of a layer's outputs set to zero in training, below 1
    bidirectional: bool = False  # whether to read in both directions, as only a classifier can

    def __post_init__(self) -> None:
        if self.cell not in tuple(GATES):
            raise ChargenError(f"there is no cell {self.cell!r}", f"choose one of {', '.join(GATES)}")
        for name in ("vocab_size", "num_layers", "hidden_size", "embedding_size"):
            size = arguments.count(getattr(self, name), name, 1, MAX_SIZE)
            object.__setattr__(self, name, size)  # Python's own number in place of NumPy's
        dropout = arguments.number(self.dropout, "dropout", least=0, below=1)
        object.__setattr__(self, "dropout", dropout)
        if not isinstance(self.bidirectional, bool):
            raise ChargenError(f"bidirectional must be true or false, got {self.bidirectional!r}")

    def to_json(self) -> dict[str, Any]:
        """Returns what config.json says of the shape."""
        return asdict(self)

    @property
    def width(self) -> int:
        """The size of the stack's output at each position."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    @property
    def passed(self) -> int:
        """The size of what a layer passes on to the next one."""
        return self.hidden_size

    @property
    def stack_parameters(self) -> int:
        """The number of parameters of the stack."""
        gates = GATES[self.cell]
        inputs = self.embedding_size + (self.num_layers - 1) * self.passed
        layers = gates * self.width * (inputs + self.num_layers * (self.hidden_size + 2))
        return self.vocab_size * self.embedding_size + layers

    @property
    def parameters(self) -> int:
        """The number of parameters of the model."""
        return self.stack_parameters + self.vocab_size * (self.hidden_size + 1)

    def summary(self) -> str:
        """Returns the shape in a few words, such as "lstm 2 × 256, 0.86 M parameters"."""
        size = f"{self.num_layers} × {self.hidden_size}, {self.parameters / 1e6:.2f} M parameters"
        return f"bidirectional {self.cell} {size}" if self.bidirectional else f"{self.cell} {size}"

    @property
    def basis_size(self) -> int:
        """The size of the optimiser's bases: for each matrix of a generator, its inputs squared."""
        return 2 * (self.embedding_size**2 + self.num_layers * self.hidden_size**2)


@dataclass(frozen=True)
class ClassifierConfig(ModelConfig):
    """The shape of a classifier; raises ChargenError for a value outside its range."""

    classes: int = 2  # C
    pooling: str = "mean"  # of the outputs, for the head: last, mean, max or attention
    joined: bool = False  # whether a layer reads both directions below, as in earlier versions

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "classes", arguments.count(self.classes, "classes", 2, MAX_SIZE))
        if self.pooling not in POOLINGS:
            raise ChargenError(
                f"there is no pooling {self.pooling!r}", f"choose one of {', '.join(POOLINGS)}"
            )
        if not isinstance(self.joined, bool):
            raise ChargenError(f"joined must be true or false, got {self.joined!r}")

    def to_json(self) -> dict[str, Any]:
        """Returns what config.json says of the shape."""
        values = super().to_json()
        if not self.bidirectional:
            del values["joined"]  # it means nothing
        return values

    @property
    def passed(self) -> int:
        """The size of what a layer passes on to the next one."""
        return self.width if self.joined else self.hidden_size

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the heads that predict the next token of each direction in training."""
        if not self.bidirectional:
            return ("reader",)
        return () if self.joined else ("reader", "backward_reader")

    @property
    def parameters(self) -> int:
        """The number of parameters of the model."""
        attention = self.width + 1 if self.pooling == "attention" else 0
        readers = len(self.readers) * self.vocab_size * (self.hidden_size + 1)
        return self.stack_parameters + self.classes * (self.width + 1) + attention + readers


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the weights of a model by their names, in PyTorch's order of the gates."""
    hidden, width, rows = config.hidden_size, config.width, GATES[config.cell] * config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "stack.embedding.weight": (config.vocab_size, config.embedding_size)
    }
    for stack in ("layers", "backward_layers") if config.bidirectional else ("layers",):
        for depth in range(config.num_layers):
            layer = f"stack.{stack}.{depth}"
            shapes[f"{layer}.weight_ih_l0"] = (rows, config.passed if depth else config.embedding_size)
            shapes[f"{layer}.weight_hh_l0"] = (rows, hidden)
            shapes[f"{layer}.bias_ih_l0"] = shapes[f"{layer}.bias_hh_l0"] = (rows,)
    heads = {"head": (config.vocab_size, width)}
    if isinstance(config, ClassifierConfig):
        heads = dict.fromkeys(config.readers, (config.vocab_size, hidden))
        heads["head"] = (config.classes, width)
        if config.pooling == "attention":
            heads["attention"] = (1, width)
    for name, shape in heads.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]
    return shapes
