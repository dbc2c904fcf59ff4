"""Components of the state that correlate with a property of the text, such as being inside quotes.

In a small LSTM that has learned source code, one component may be high inside strings and low outside,
another may grow along the line (Karpathy, Johnson and Li 2015). They are found by correlating every
cell and hidden state with every property of `properties`, over all characters of a text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.inspection.properties import properties
from chargen.inspection.states import state_chunks
from chargen.model import LanguageModel
from chargen.modes import default_modes
from chargen.shapes import StateComponent
from chargen.tokenizers.base import Ids, Tokenizer

FEWEST = 100  # tokens; in a shorter text, every component correlates with something
RAREST = 0.002  # share of the characters; a rarer property is left out
KINDS = ("cell", "hidden")  # in the order in which a layer's components are compared


class ComponentCorrelation(NamedTuple):
    """A property of the text and the component of the state that correlates with it best."""

    property: str
    component: StateComponent
    correlation: float  # Pearson's, from -1 to 1; for a cell, that of its tanh


@default_modes()
def components(model: LanguageModel, tokenizer: Tokenizer, ids: Ids) -> list[ComponentCorrelation]:
    """Finds the best correlated component for each property that varies in the text `ids` (T,).

    Returns the strongest correlation first. Raises ChargenError for fewer than `FEWEST` tokens.
    """
    if len(ids) < FEWEST:
        raise ChargenError(
            f"{len(ids)} characters are too few to find components",
            f"give at least {FEWEST}, better several thousand",
        )
    targets = {
        name: values
        for name, values in token_properties(tokenizer, ids).items()
        if values.std() > 0 and (values > values.min()).mean() > RAREST
    }
    target = np.stack(list(targets.values()), -1)  # (T, F)
    target = (target - target.mean(0)) / target.std(0)
    kinds = [kind for kind in KINDS if kind == "hidden" or model.config.cell == "lstm"]
    products, sums, squares, start = 0.0, 0.0, 0.0, 0
    for layers in state_chunks(model, ids):
        # The tanh of a cell is what its layer passes on.
        parts = [np.tanh(layer[k]) if k == "cell" else layer[k] for layer in layers for k in kinds]
        values = np.concatenate(parts, -1).astype(np.float64)  # (T, all components)
        products = products + target[start : start + len(values)].T @ values
        sums, squares = sums + values.sum(0), squares + np.square(values).sum(0)
        start += len(values)
    deviations = np.sqrt(np.maximum(np.asarray(squares) / start - np.square(sums / start), 1e-12))
    correlations: npt.NDArray[np.float64] = products / start / deviations  # (F, all components)
    best = np.abs(correlations).argmax(1)
    size = model.config.hidden_size
    rows = [
        ComponentCorrelation(
            name,
            StateComponent(
                layer=number // (size * len(kinds)) + 1,
                index=number % size,
                kind=kinds[number // size % len(kinds)],
            ),
            float(correlations[row, number]),
        )
        for row, (name, number) in enumerate(zip(targets, best.tolist(), strict=True))
    ]
    return sorted(rows, key=lambda row: -abs(row.correlation))


def token_properties(tokenizer: Tokenizer, ids: Ids) -> dict[str, npt.NDArray[np.float64]]:
    """Returns the properties of a text at each of its tokens, (T,) by name.

    The value of a token is that of the last character that it completes.
    """
    pieces = [
        b"\n" if token == tokenizer.end_id else tokenizer.pieces[token] for token in ids.tolist()
    ]
    text = b"".join(pieces).decode(errors="replace")
    # The bytes of a piece that begin a character: all but UTF-8's continuation bytes.
    beginnings = [sum(byte & 0xC0 != 0x80 for byte in piece) for piece in pieces]
    characters = np.maximum(np.cumsum(beginnings) - 1, 0).clip(0, len(text) - 1)
    return {name: values[characters] for name, values in properties(text).items()}
