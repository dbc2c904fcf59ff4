"""Crops of one to three words of a text, as examples beside it: so that a part suffices, too.

A classifier that has seen sentences alone knows little of a single word. Where texts are long, crops
say too little of their class, and training on them makes the classifier worse at whole texts
(`benchmarks/LOG.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from chargen.data.labelled import Labelled

MAX_WORDS = 20  # on average, of texts that are cropped
SIZES = (1, 2, 3)  # words of a crop
MAX_CROPS = 30  # of a text; of more, a part is drawn


@dataclass(frozen=True)
class Examples:
    """Labelled texts, and behind them crops of them."""

    data: Labelled
    sources: npt.NDArray[np.int64]  # (N,) the index of the text that each is, or comes from
    cropped: bool  # whether there are any crops

    def crops(self, most: int, seed: int = 0) -> Labelled | None:
        """Returns the crops alone, or `most` of them, drawn; None where there are none."""
        if not self.cropped:
            return None
        texts = int(self.sources.max()) + 1
        drawn = np.random.default_rng(seed).permutation(len(self.data) - texts)[:most]
        return self.data.select((texts + np.sort(drawn)).tolist())


def add_crops(data: Labelled, seed: int = 0) -> Examples:
    """Returns the texts of `data`, and their crops if they have up to `MAX_WORDS` words on average."""
    words = [text.split() for text in data.texts]
    sources = list(range(len(words)))
    crops: list[str] = []
    rng = np.random.default_rng(seed)
    if sum(map(len, words)) <= MAX_WORDS * len(words):
        for index, of_text in enumerate(words):
            own = [
                " ".join(of_text[start : start + size])
                for size in SIZES
                if size < len(of_text)
                for start in range(0, len(of_text) - size + 1, max(1, size - 1))
            ]
            if len(own) > MAX_CROPS:
                own = [own[i] for i in rng.permutation(len(own))[:MAX_CROPS]]
            crops += own
            sources += [index] * len(own)
    labels = [data.labels[source] for source in sources]
    examples = replace(data, texts=[*data.texts, *crops], labels=labels)
    return Examples(examples, np.array(sources, np.int64), bool(crops))
