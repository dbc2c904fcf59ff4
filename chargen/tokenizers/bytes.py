"""A token for each byte of UTF-8: any text, and no vocabulary to learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from chargen.tokenizers.base import Ids, Tokenizer, encode_unicode


class ByteTokenizer(Tokenizer):
    """One token for each of the 256 bytes: "né" is [110, 195, 169]."""

    kind = "byte"

    def __init__(self, documents: bool = False) -> None:
        super().__init__([bytes([value]) for value in range(256)], documents)

    def encode(self, text: str) -> Ids:
        data = encode_unicode(text, "utf-8")
        return np.frombuffer(data, np.uint8).astype(self.dtype, copy=False)

    def tokens_per_character(self, text: str) -> npt.NDArray[np.int64]:
        ids = self.encode(text)
        starts = np.flatnonzero(ids & 0xC0 != 0x80)  # every byte but continuations
        return np.diff(starts, append=len(ids))

    def describe(self) -> str:
        return "256 bytes of UTF-8"
