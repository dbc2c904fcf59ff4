"""Bytes packed by what a model expects: the better it predicts a text, the shorter the file.

The model gives each token a probability p, and an entropy coder (`rans`) needs −log2(p) bits for it.
Whoever unpacks needs the same model, and the same probabilities to the last bit, which is what the
arithmetic of docs/portable.md is for.

The file, numbers written by `symbols.varint`, the rest little-endian:

    "cgz\\1"       a packed file, of version 1
    16 bytes      sha256 of the model, its beginning
    8 bytes       sha256 of the content, its beginning
    length        of the content, in bytes
    way           0: by the model; 1: by xz, where that is shorter, and what follows is an xz file
    tokens, lanes, length of the note, the note (`symbols`)
    blocks        for each lane: number of words, state (8 bytes), words (4 bytes each)
    4 bytes       CRC-32 of all of this

A long text is cut into lanes, which are coded side by side; each begins like a new text.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.compression import rans
from chargen.compression.symbols import DAMAGED, Reader, Symbols, from_symbols, to_symbols, varint
from chargen.errors import ChargenError
from chargen.generation.decoder import Decoder
from chargen.generation.draw import integer_weights
from chargen.generation.sampler import Sampler
from chargen.tokenizers.base import Tokenizer

MAGIC = b"cgz\1"
MAX_LANES = 64
LANE_TOKENS = 50_000  # of a lane, at least: its beginning costs some twenty bytes
BLOCK = 1 << 22  # tokens of all lanes that are coded together, to bound the memory
_MODEL_BYTES, _CONTENT_BYTES = 16, 8  # of a sum
_BY_MODEL, _BY_XZ = 0, 1


class Packing(NamedTuple):
    """How far a file is packed or unpacked."""

    done: int  # tokens
    total: int  # tokens
    bits: float = 0.0  # so far; 0 in unpacking, as the others below
    characters: int = 0  # in all
    xz_bytes: int = 0  # that xz needs for the same file

    @property
    def bits_per_character(self) -> float:
        """The bits so far for each character so far."""
        return self.bits / max(self.characters * self.done / max(self.total, 1), 1)

    @property
    def xz_bits_per_character(self) -> float:
        """The bits of xz for each character."""
        return 8 * self.xz_bytes / max(self.characters, 1)


Callback = Callable[[Packing], None]


class Packer:
    """Packs and unpacks with one model.

    Args:
        decoder: of weights of eight bits.
        tokenizer: of the same model.
        separator: of documents, None for running text.
        model: the sha256 of its weights and vocabulary.
    """

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, separator: str | None, model: bytes
    ) -> None:
        self._decoder, self._tokenizer, self._separator = decoder, tokenizer, separator
        self._model = model[:_MODEL_BYTES]

    def pack(self, data: bytes, progress: Callback | None = None) -> bytes:
        """Returns the packed form of any bytes, which is hardly ever longer than that of xz."""
        symbols = to_symbols(data, self._tokenizer, self._separator)
        count = len(symbols.tokens)
        lanes = min(max(1, count // LANE_TOKENS), MAX_LANES)
        body = b"".join(map(varint, [count, lanes, len(symbols.note)])) + symbols.note
        plain = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
        total = Packing(count, count, 0.0, symbols.characters, len(plain))
        way, blocks = _BY_MODEL, self._encode(symbols.tokens, lanes, total, progress)
        while len(body) <= len(plain) and (block := next(blocks, None)) is not None:
            body += block
        if len(body) > len(plain):
            way, body = _BY_XZ, plain
            if progress:
                progress(total._replace(bits=8.0 * len(plain)))
        head = MAGIC + self._model + _content_sum(data) + varint(len(data)) + varint(way)
        return _with_crc(head + body)

    def unpack(self, packed: bytes, progress: Callback | None = None) -> bytes:
        """Returns the bytes that were packed.

        Raises ChargenError for a file that is no packed file, is damaged, or needs another model.
        """
        if not packed.startswith(MAGIC):
            raise ChargenError("this is not a file that chargen has packed", "pack it with {compress}")
        if _with_crc(packed[:-4]) != packed:
            raise ChargenError(DAMAGED, "fetch or copy it once more")
        reader = Reader(packed[len(MAGIC) : -4])
        if reader.take(_MODEL_BYTES) != self._model:
            raise ChargenError(
                "the file was packed with another model, or with this one before it was trained on",
                "name the model with {model}",
            )
        expected, length, way = reader.take(_CONTENT_BYTES), reader.varint(), reader.varint()
        if way == _BY_XZ:
            try:
                data = lzma.decompress(reader.rest())
            except lzma.LZMAError as error:
                raise ChargenError(DAMAGED) from error
        else:
            count, lanes = reader.varint(), reader.varint()
            note = reader.take(reader.varint())
            if not 1 <= lanes <= MAX_LANES:
                raise ChargenError(DAMAGED)
            tokens = self._decode(reader, count, lanes, progress)
            data = from_symbols(Symbols(tokens, note), self._tokenizer, self._separator)
        if len(data) != length or _content_sum(data) != expected:
            raise ChargenError(
                "what was unpacked is not what was packed",
                "this machine computes differently, which should not be possible: please report it",
            )
        return data

    # Tokens and probabilities ---------------------------------------------------------------------

    def _encode(
        self, tokens: npt.NDArray[Any], lanes: int, total: Packing, progress: Callback | None
    ) -> Iterator[bytes]:
        """Yields the coded blocks of tokens (N,)."""
        rows = _in_lanes(tokens, lanes)  # (steps, B), -1 beyond the end of a lane
        model, bits = _Expectation(self._decoder, self._tokenizer, lanes), 0.0
        for first, last in _blocks(len(rows), lanes):
            starts, sizes = np.zeros((2, last - first, lanes), np.uint32)
            for step in range(first, last):
                row = rows[step]
                missing, known = row < 0, np.maximum(row, 0)
                cumulated = model.cumulated()  # (B, V)
                starts[step - first], sizes[step - first] = _intervals(cumulated, known, missing)
                model.read(known)
                if progress and step % 256 == 255:
                    done = sizes[: step - first + 1].astype(np.float64)
                    so_far = bits + float(-np.log2(done / rans.TOTAL).sum())
                    done_tokens = min((step + 1) * lanes, len(tokens))
                    progress(total._replace(done=done_tokens, bits=so_far))
            bits += float(-np.log2(sizes.astype(np.float64) / rans.TOTAL).sum())
            coded = rans.encode(starts, sizes)
            yield b"".join(
                varint(len(lane.words))
                + lane.state.to_bytes(8, "little")
                + lane.words.astype("<u4").tobytes()
                for lane in coded
            )
        if progress:
            progress(total._replace(bits=bits))

    def _decode(
        self, reader: Reader, count: int, lanes: int, progress: Callback | None
    ) -> npt.NDArray[Any]:
        """Returns the tokens (N,) of coded blocks."""
        sizes = _lane_sizes(count, lanes)
        model = _Expectation(self._decoder, self._tokenizer, lanes)
        decoded = []
        for first, last in _blocks(int(sizes.max()), lanes):
            coder = rans.Decoder([_read_lane(reader) for _ in range(lanes)])
            rows = np.zeros((last - first, lanes), self._tokenizer.dtype)
            for step in range(first, last):
                cumulated = model.cumulated()
                tokens = (cumulated <= coder.targets[:, None]).sum(1)
                missing = sizes <= step
                coder.advance(*_intervals(cumulated, tokens, missing))
                rows[step - first] = tokens = np.where(missing, 0, tokens)
                model.read(tokens)
                if progress and step % 256 == 255:
                    progress(Packing(min((step + 1) * lanes, count), count))
            decoded.append(rows)
        if progress:
            progress(Packing(count, count))
        together = np.concatenate(decoded) if decoded else np.zeros((0, lanes), self._tokenizer.dtype)
        return np.concatenate([together[:size, lane] for lane, size in enumerate(sizes)])


class _Expectation:
    """The tokens that a model expects next in each of several lanes, as frequencies for the coder."""

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer, lanes: int) -> None:
        self._decoder, self._sampler, self._lanes = decoder, Sampler(1.0), lanes
        first = decoder.initial_state()
        logits = decoder.read(tokenizer.start_tokens(), first)
        self._state = first.fork(lanes)
        self._logits = np.repeat(logits[:, None], lanes, 1)  # (V, B)

    def cumulated(self) -> npt.NDArray[np.int64]:
        """Returns the end of the interval of each token, (B, V)."""
        weights = np.ascontiguousarray(integer_weights(self._sampler, self._logits).T)
        ends: npt.NDArray[np.int64] = rans.frequencies(weights).cumsum(1).astype(np.int64)
        return ends

    def read(self, tokens: npt.NDArray[Any]) -> None:
        """Reads the next token of each lane, (B,)."""
        if self._lanes == 1:
            self._logits = self._decoder.step(int(tokens[0]), self._state)[:, None]
        else:
            self._logits = self._decoder.step(tokens.astype(np.int64), self._state)


def _intervals(
    cumulated: npt.NDArray[np.int64], tokens: npt.NDArray[Any], missing: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the start and the size of the interval of each lane's token, (B,).

    `cumulated` (B, V) has the ends of all. A lane that has no more tokens gets what takes no room.
    """
    lanes = np.arange(len(tokens))
    begins = np.where(tokens > 0, cumulated[lanes, tokens - 1], 0)
    sizes = cumulated[lanes, tokens] - begins
    return np.where(missing, 0, begins), np.where(missing, rans.TOTAL, sizes)


def _lane_sizes(count: int, lanes: int) -> npt.NDArray[np.int64]:
    """Returns how many tokens each lane has, which differ by one at most."""
    return count // lanes + (np.arange(lanes) < count % lanes)


def _in_lanes(tokens: npt.NDArray[Any], lanes: int) -> npt.NDArray[np.int64]:
    """Returns tokens in columns, (steps, B), with -1 below the shorter ones."""
    sizes = _lane_sizes(len(tokens), lanes)
    rows = np.full((int(sizes.max()), lanes), -1, np.int64)
    for lane, part in enumerate(np.split(tokens, np.cumsum(sizes)[:-1])):
        rows[: len(part), lane] = part
    return rows


def _blocks(steps: int, lanes: int) -> Iterator[tuple[int, int]]:
    size = BLOCK // lanes
    for first in range(0, steps, size):
        yield first, min(first + size, steps)


def _read_lane(reader: Reader) -> rans.Lane:
    count = reader.varint()
    state = int.from_bytes(reader.take(8), "little")
    return rans.Lane(state, np.frombuffer(reader.take(4 * count), "<u4"))


def _content_sum(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CONTENT_BYTES]


def _with_crc(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")
