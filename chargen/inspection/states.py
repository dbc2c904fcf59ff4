"""What goes on in a stack while it reads: gates, cells and hidden states, for every character.

What each layer reads and gives is taken down in the forward pass of training itself; the gates, which
the fused kernels keep to themselves, follow from that by the formulas of the cell:

    lstm    input, forget, output = sigmoid(W x + U h + b)      candidate = tanh(W x + U h + b)
            cell = forget * cell + input * candidate            hidden = output * tanh(cell)
    gru     reset, update = sigmoid(W x + U h + b)
            candidate = tanh(W x + b + reset * (U h + b'))
            hidden = (1 - update) * candidate + update * hidden
    rnn     hidden = tanh(W x + U h + b)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from chargen.model import LanguageModel
from chargen.tokenizers.base import Ids

SPAN = 1024  # ids read at a time

Array = npt.NDArray[np.float32]
# One per layer: (T, H) by name, the names in `names`.
Layers = list[dict[str, Array]]

names = {
    "lstm": ("cell", "hidden", "input", "forget", "candidate", "output"),
    "gru": ("hidden", "reset", "update", "candidate"),
    "rnn": ("hidden",),
}


def states(model: LanguageModel, ids: Ids) -> Layers:
    """Of each layer, all that goes on in it, (T, H) each, after each of the ids (T,)."""
    parts = list(spans(model, ids))
    return [
        {name: np.concatenate([part[depth][name] for part in parts]) for name in parts[0][depth]}
        for depth in range(model.config.num_layers)
    ]


@torch.no_grad()
def spans(model: LanguageModel, ids: Ids) -> Iterator[Layers]:
    """The same for a long text, so many ids at a time."""
    device = model.head.weight.device
    state = model.initial_state(1)
    for start in range(0, max(1, len(ids)), SPAN):
        some = torch.as_tensor(ids[start : start + SPAN].astype(np.int64)).to(device)[:, None]
        seen: list[tuple[Tensor, Tensor]] = []
        before, (_, state) = state, model.stack.read(model.stack.embedding(some), state, trace=seen)
        yield [
            {
                name: value.float().numpy()
                for name, value in _gates(
                    model, depth, read[:, 0].cpu(), given[:, 0].cpu(), before[depth]
                ).items()
            }
            for depth, (read, given) in enumerate(seen)
        ]


def _gates(
    model: LanguageModel, depth: int, read: Tensor, hidden: Tensor, before: tuple[Tensor, ...]
) -> dict[str, Tensor]:
    layer: nn.Module = model.stack.layers[depth]
    w_ih, w_hh, b_ih, b_hh = (
        getattr(layer, name).cpu().double()
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    )
    # In double precision: a cell adds up hundreds of steps, and none of their errors should be ours.
    h = torch.cat([before[0][0].cpu(), hidden[:-1]]).double()  # (T, H) before each step
    given, carried = read.double() @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if model.config.cell == "rnn":
        return {"hidden": hidden}
    if model.config.cell == "gru":
        r, z, n = given.chunk(3, -1)
        r_h, z_h, n_h = carried.chunk(3, -1)
        reset = torch.sigmoid(r + r_h)
        return {
            "hidden": hidden,
            "reset": reset,
            "update": torch.sigmoid(z + z_h),
            "candidate": torch.tanh(n + reset * n_h),
        }
    i, f, g, o = (given + carried).chunk(4, -1)
    gates = {"input": i.sigmoid(), "forget": f.sigmoid(), "candidate": g.tanh(), "output": o.sigmoid()}
    cells = (gates["input"] * gates["candidate"]).numpy()
    c = before[1][0, 0].cpu().double().numpy()
    for kept, cell in zip(gates["forget"].numpy(), cells, strict=True):
        cell += kept * c
        c = cell
    return {"cell": torch.from_numpy(cells), "hidden": hidden, **gates}
