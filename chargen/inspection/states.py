"""The states and gates of every layer of a model while it reads a text.

The inputs and outputs of each layer are recorded in the forward pass that training uses. The fused
kernels do not return the gates; they follow from the recorded values by the equations of the cell:

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

from chargen.errors import ChargenError
from chargen.model import LanguageModel
from chargen.modes import default_modes
from chargen.tokenizers.base import Ids

CHUNK = 1024  # tokens read at a time

Array = npt.NDArray[np.float32]
Layers = list[dict[str, Array]]  # for each layer, (T, H) by the names in `STATE_KINDS`

# The states and gates of each cell; the first one is what the cell carries its memory in.
STATE_KINDS = {
    "lstm": ("cell", "hidden", "input", "forget", "candidate", "output"),
    "gru": ("hidden", "reset", "update", "candidate"),
    "rnn": ("hidden",),
}


@default_modes()
def states(model: LanguageModel, ids: Ids) -> Layers:
    """Returns the states and gates of each layer after each of the tokens `ids` (T,).

    The model starts from an empty state. Each array is (T, H), its names are those of `STATE_KINDS`.
    Raises ChargenError for an empty text.
    """
    if not len(ids):
        raise ChargenError("the text is empty: there are no states to show", "give some text")
    chunks = list(state_chunks(model, ids))
    return [
        {name: np.concatenate([chunk[depth][name] for chunk in chunks]) for name in chunks[0][depth]}
        for depth in range(model.config.num_layers)
    ]


@torch.no_grad()
def state_chunks(model: LanguageModel, ids: Ids) -> Iterator[Layers]:
    """Yields the `states` of a long text in chunks of `CHUNK` tokens."""
    device = model.head.weight.device
    state = model.initial_state(1)
    for start in range(0, max(1, len(ids)), CHUNK):
        chunk = torch.as_tensor(ids[start : start + CHUNK].astype(np.int64)).to(device)[:, None]
        trace: list[tuple[Tensor, Tensor]] = []
        initial, (_, state) = state, model.stack.read(model.stack.embedding(chunk), state, trace=trace)
        yield [
            {
                name: value.float().numpy()
                for name, value in _gates(
                    model, depth, inputs[:, 0].cpu(), hidden[:, 0].cpu(), initial[depth]
                ).items()
            }
            for depth, (inputs, hidden) in enumerate(trace)
        ]


def _gates(
    model: LanguageModel, depth: int, inputs: Tensor, hidden: Tensor, initial: tuple[Tensor, ...]
) -> dict[str, Tensor]:
    """Returns states and gates (T, H) of one layer.

    `inputs` (T, E or H) and `hidden` (T, H) are what the layer read and returned, `initial` is its
    state before the first step.
    """
    layer: nn.Module = model.stack.layers[depth]
    w_ih, w_hh, b_ih, b_hh = (
        getattr(layer, name).cpu().double()
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    )
    # In double precision: a cell sums hundreds of steps, and rounding errors would add up.
    h = torch.cat([initial[0][0].cpu(), hidden[:-1]]).double()  # (T, H) before each step
    from_input, from_hidden = inputs.double() @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if model.config.cell == "rnn":
        return {"hidden": hidden}
    if model.config.cell == "gru":
        r, z, n = from_input.chunk(3, -1)
        r_h, z_h, n_h = from_hidden.chunk(3, -1)
        reset = torch.sigmoid(r + r_h)
        return {
            "hidden": hidden,
            "reset": reset,
            "update": torch.sigmoid(z + z_h),
            "candidate": torch.tanh(n + reset * n_h),
        }
    i, f, g, o = (from_input + from_hidden).chunk(4, -1)
    gates = {"input": i.sigmoid(), "forget": f.sigmoid(), "candidate": g.tanh(), "output": o.sigmoid()}
    cells = (gates["input"] * gates["candidate"]).numpy()
    c = initial[1][0, 0].cpu().double().numpy()
    for forget, cell in zip(gates["forget"].numpy(), cells, strict=True):
        cell += forget * c  # in place: `cells` becomes the cell states
        c = cell
    return {"cell": torch.from_numpy(cells), "hidden": hidden, **gates}
