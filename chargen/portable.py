"""The methods of a generator by which its model, or what it packed, goes to another machine."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from chargen import arguments
from chargen.compression.packing import Callback, Packer
from chargen.data.documents import separator
from chargen.storage.record import Record
from chargen.tokenizers.base import Tokenizer


class Portable:
    """A language model with its tokenizer, whose arithmetic is the same everywhere."""

    tokenizer: Tokenizer
    record: Record
    _weights: Any  # see TextGenerator
    _decoders: Any

    def compress(self, data: bytes, progress: Callback | None = None) -> bytes:
        """Packs any bytes, a text best of all, by what the model expects; see `compression.packing`.

        Only the same model unpacks them, on any machine. `progress` is called with the tokens done,
        their number, and the bits so far.
        """
        return self._packer().pack(arguments.data(data, "data"), progress)

    def decompress(self, packed: bytes, progress: Callback | None = None) -> bytes:
        """Returns the bytes that `compress` packed.

        Raises ChargenError for bytes that are damaged, or that another model has packed.
        """
        return self._packer().unpack(arguments.data(packed, "packed"), progress)

    def to_html(self, title: str = "chargen") -> str:
        """Returns a page in one file that writes as this generator does with weights of eight bits.

        It needs no network; see `export.html`.
        """
        from chargen.export.html import export_page

        return export_page(self._weights, self.tokenizer, self.record, arguments.text(title, "title"))

    def _packer(self) -> Packer:
        sums, split_on = hashlib.sha256(), self.record.corpus.split_on
        for name, weight in sorted(self._weights.arrays().items()):
            sums.update(name.encode() + np.ascontiguousarray(weight, "<f4").tobytes())
        for name, data in sorted(self.tokenizer.dump().items()):
            sums.update(name.encode() + data)
        return Packer(
            self._decoders.find(self._weights, "int8"),
            self.tokenizer,
            None if split_on is None else separator(split_on),
            sums.digest(),
        )
