"""Components of the state that follow something one can name, found by correlation on a text.

In a small LSTM that has learned source code, one number may be high inside of strings and low
outside, another one grow along the line (Karpathy, Johnson and Li 2015). They are looked for among all
cells and hidden states, each against each property of `properties`, over all characters of the text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.inspection.properties import properties
from chargen.inspection.states import spans
from chargen.model import LanguageModel
from chargen.tokenizers.base import Ids, Tokenizer

FEWEST = 100  # characters; in fewer, anything follows anything
RAREST = 0.002  # of the characters; what is rarer, or as common, is not looked for
KINDS = ("cell", "hidden")  # of components


class Component(NamedTuple):
    """One number of the state, and what it follows."""

    property: str
    layer: int  # from 1
    kind: str  # cell or hidden
    component: int  # from 0
    correlation: float  # from -1 to 1, Pearson's; of a cell, of tanh of its value


def components(model: LanguageModel, tokenizer: Tokenizer, ids: Ids) -> list[Component]:
    """For each property that the text has, the component that follows it best; best first.

    Raises ChargenError for a text that is too short to tell.
    """
    if len(ids) < FEWEST:
        raise ChargenError(
            f"{len(ids)} characters are too few to find components by: give at least {FEWEST}, "
            "better some thousands"
        )
    told = described(tokenizer, ids)
    told = {
        name: values
        for name, values in told.items()
        if values.std() > 0 and (values > values.min()).mean() > RAREST
    }
    wanted = np.stack(list(told.values()), -1)  # (T, F)
    wanted = (wanted - wanted.mean(0)) / wanted.std(0)
    kinds = [kind for kind in KINDS if kind == "hidden" or model.config.cell == "lstm"]
    products, sums, squares, start = 0.0, 0.0, 0.0, 0
    for layers in spans(model, ids):
        found = [np.tanh(layer[k]) if k == "cell" else layer[k] for layer in layers for k in kinds]
        values = np.concatenate(found, -1).astype(np.float64)  # (T, all components)
        products = products + wanted[start : start + len(values)].T @ values
        sums, squares = sums + values.sum(0), squares + np.square(values).sum(0)
        start += len(values)
    deviations = np.sqrt(np.maximum(np.asarray(squares) / start - np.square(sums / start), 1e-12))
    correlations: npt.NDArray[np.float64] = products / start / deviations  # (F, all components)
    best = np.abs(correlations).argmax(1)
    size = model.config.hidden_size
    rows = [
        Component(
            name,
            number // (size * len(kinds)) + 1,
            kinds[number // size % len(kinds)],
            number % size,
            float(correlations[row, number]),
        )
        for row, (name, number) in enumerate(zip(told, best.tolist(), strict=True))
    ]
    return sorted(rows, key=lambda row: -abs(row.correlation))


def described(tokenizer: Tokenizer, ids: Ids) -> dict[str, npt.NDArray[np.float64]]:
    """The properties of the text at each of its ids: those of the last character that it completes."""
    pieces = [
        b"\n" if token == tokenizer.end_id else tokenizer.pieces[token] for token in ids.tolist()
    ]
    text = b"".join(pieces).decode(errors="replace")
    heads = [sum(byte & 0xC0 != 0x80 for byte in piece) for piece in pieces]
    places = np.maximum(np.cumsum(heads) - 1, 0).clip(0, len(text) - 1)
    return {name: values[places] for name, values in properties(text).items()}
