"""One step of each cell, in NumPy: weights laid out once, and nothing made anew while stepping.

- The product of the first layer with its input is a table with one row per id.
- sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: with halved weights, one tanh serves all gates.
- A bias is a column of its matrix, and a vector ends with a one.
- Every operation writes into memory that a `Running` owns, and the output of a layer lies where the
  next one reads it.

At this size a NumPy call takes as long as its arithmetic, so their number is what counts, and all that
can be looked up before the first step is bound there, in closures. Vectors stand in columns, (H,) for
one stream and (H, B) for several.

A cell's matrices are `Single`, in the precision they were learned in, or `Int8`, a quarter of that to
be read from memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float32]
Call = Callable[[], Any]
_HUGE = 1 << 22  # bytes; from there on NumPy asks the system for huge pages
LEVELS = 127  # of an int8, on each side of zero


class Running(NamedTuple):
    """A layer at work on one stream or several."""

    advance: Callable[[Any], Any]  # reads `read`, or in the first layer the ids, and moves h on
    hold: Callable[[int, float], None]  # puts a component of the state at a value, after that
    h: Array  # (H,) or (H, B)
    read: Array  # what the layer reads of the one below, (H,) or (H, B)
    carried: list[Array]  # all that the next step depends on


# The matrices -------------------------------------------------------------------------------------


class Single:
    """A matrix [for h | for what is read | bias], or some of the three, in single precision."""

    def __init__(self, for_h: Array | None, for_read: Array | None, bias: Array | None) -> None:
        column = None if bias is None else bias[:, None]
        parts = [part for part in (for_h, for_read, column) if part is not None]
        # In columns: OpenBLAS multiplies them a tenth faster than rows.
        both = np.hstack(parts)
        self._weights = _roomy(both.shape[::-1], np.float32).T
        self._weights[...] = both

    def bind(self, vector: Array, out: Array) -> Call:
        """What writes the product with a vector into `out`."""
        return partial(self._weights.dot, vector, out)


class Int8:
    """The same with whole numbers of eight bits: row by row for the weights, and for vectors anew at
    each step. The sums in between are exact, in every company; the bias stays as it is.
    """

    def __init__(self, for_h: Array | None, for_read: Array | None, bias: Array | None) -> None:
        weights = np.hstack([part for part in (for_h, for_read) if part is not None])
        scales = np.maximum(np.abs(weights).max(1), np.finfo(np.float32).tiny) / LEVELS
        whole = _roomy(weights.shape, np.int8)
        whole[...] = np.rint(weights / scales[:, None])
        self._weights, self._scales, self._bias = torch.from_numpy(whole), scales, bias

    def bind(self, vector: Array, out: Array) -> Call:
        """What writes the product with a vector into `out`."""
        weights, vector = self._weights, vector[: self._weights.shape[1]]
        scaled = np.zeros_like(vector)
        whole = torch.zeros(len(vector), vector[0].size, dtype=torch.int8)
        sums = torch.zeros(len(out), vector[0].size, dtype=torch.int32)
        whole_view = whole.numpy().reshape(vector.shape)
        sums_view = sums.numpy().reshape(out.shape)
        back = _spread(self._scales / np.float32(LEVELS), out)
        bias = None if self._bias is None else _spread(self._bias, out)
        up, largest = of_streams(vector), of_streams(out)
        vectors, scaleds, outs = folded(vector), folded(scaled), folded(out)
        absolute, multiply, rint, copyto, add = np.abs, np.multiply, np.rint, np.copyto, np.add
        product = torch._int_mm

        def one() -> None:
            absolute(vector, scaled)
            top = scaled.item(scaled.argmax()) or 1.0  # four times as quick as `max`
            largest.fill(top)
            up.fill(LEVELS / top)

        def several() -> None:
            absolute(vector, scaled)
            top = by_stream(np.maximum, scaleds)
            top[top == 0] = 1
            largest[...] = top
            up[...] = LEVELS / top

        find = one if vector.ndim == 1 else several

        def run() -> None:
            find()
            multiply(vectors, up, scaleds)
            rint(scaled, scaled)
            copyto(whole_view, scaled, "unsafe")
            product(weights, whole, out=sums)
            copyto(out, sums_view, "unsafe")
            multiply(out, back, out)
            multiply(outs, largest, outs)
            if bias is not None:
                add(out, bias, out)

        return run


def _roomy(shape: tuple[int, ...], kind: type) -> Any:
    """An array in huge pages, where the system has them: they are read a tenth faster."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    room = np.empty(max(size, _HUGE) + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(kind).reshape(shape)


PRECISIONS: dict[str, type[Single] | type[Int8]] = {"fp32": Single, "int8": Int8}
Matrix = Single | Int8


# The cells ----------------------------------------------------------------------------------------


class Cell:
    """One layer's weights in the order of the step.

    The arrays are those of PyTorch: w_ih, w_hh, b_ih, b_hh. With an embedding, the layer is the first
    one, and looks up what it would read.
    """

    hidden: int

    def __init__(self, arrays: list[Array], embedding: Array | None, matrix: type[Matrix]) -> None:
        raise NotImplementedError

    def run(self, batch: int) -> Running:
        """The layer in its empty state, for so many streams."""
        raise NotImplementedError


class _Table:
    """What the first layer reads, multiplied once for all: a row (rows,) for each id."""

    def __init__(self, table: Array) -> None:
        self._rows = list(table)

    @cached_property
    def _columns(self) -> Array:
        return np.stack(self._rows, 1)  # (rows, V), from which NumPy takes columns five times as fast

    def bind(self, out: Array) -> Callable[[Any], Any]:
        """What adds the rows of ids to `out`."""
        rows, add, select = self._rows, np.add, torch.index_select
        if out.ndim == 1:
            return lambda token: add(out, rows[token], out)
        columns, taken = torch.from_numpy(self._columns), np.zeros_like(out)
        into = torch.from_numpy(taken)

        def give(ids: Any) -> None:
            select(columns, 1, torch.from_numpy(ids), out=into)
            add(out, taken, out)

        return give


class Lstm(Cell):
    """Hochreiter and Schmidhuber 1997, with the gates of Gers et al. 2000."""

    def __init__(self, arrays: list[Array], embedding: Array | None, matrix: type[Matrix]) -> None:
        self.hidden = arrays[1].shape[1]
        i, f, g, o = np.arange(4 * self.hidden).reshape(4, self.hidden)
        order = np.concatenate([i, f, o, g])  # sigmoid gates first, and g where c stands beside it
        scale = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), self.hidden)
        w_ih, w_hh, b_ih, b_hh = ((array[order].T * scale).T for array in arrays)
        self._table, self._matrix = _laid_out(w_hh, w_ih, b_ih + b_hh, embedding, matrix)

    def run(self, batch: int) -> Running:
        """The layer in its empty state, for so many streams."""
        size = self.hidden
        h, read, vector = _vector(size, self._table, batch)
        rows = zeros(5 * size, batch)  # i, f, o, g, c
        gates, i_f_o, i_f = rows[: 4 * size], rows[: 3 * size], rows[: 2 * size]
        o, g_c, c = rows[2 * size : 3 * size], rows[3 * size :], rows[4 * size :]
        half = np.array(0.5, np.float32)  # twice as fast as a Python number or an array (1,)
        work = np.zeros_like(i_f)
        work_i, work_f = work[:size], work[size:]
        product = self._matrix.bind(vector, gates)
        give = self._table.bind(gates) if self._table else None
        tanh, multiply, add = np.tanh, np.multiply, np.add

        def advance(ids: Any) -> None:
            product()
            if give:
                give(ids)
            tanh(gates, gates)
            multiply(i_f_o, half, i_f_o)
            add(i_f_o, half, i_f_o)
            multiply(i_f, g_c, work)
            add(work_i, work_f, c)
            tanh(c, h)
            multiply(h, o, h)

        def hold(component: int, value: float) -> None:
            c[component] = value
            h[component] = o[component] * math.tanh(value)

        return Running(advance, hold, h, read, [h, c])


class Gru(Cell):
    """Cho et al. 2014, as cuDNN computes it."""

    def __init__(self, arrays: list[Array], embedding: Array | None, matrix: type[Matrix]) -> None:
        self.hidden = arrays[1].shape[1]
        scale = np.repeat(np.array([0.5, 0.5, 1], np.float32), self.hidden)  # rows r, z, n
        w_ih, w_hh, b_ih, b_hh = ((array.T * scale).T for array in arrays)
        self._matrix = matrix(w_hh, None, b_hh)
        self._table = None if embedding is None else _Table(embedding @ w_ih.T + b_ih)
        self._below = matrix(None, w_ih, b_ih) if embedding is None else None

    def run(self, batch: int) -> Running:
        """The layer in its empty state, for so many streams."""
        size = self.hidden
        h_one, read_one = before_one(size, batch), before_one(size, batch)
        h, read = h_one[:-1], read_one[:-1]
        carried, given = zeros(3 * size, batch), zeros(3 * size, batch)
        gates, r, z, n = given[: 2 * size], given[:size], given[size : 2 * size], given[2 * size :]
        carried_gates, carried_n = carried[: 2 * size], carried[2 * size :]
        half = np.array(0.5, np.float32)
        product = self._matrix.bind(h_one, carried)
        below = self._below.bind(read_one, given) if self._below else partial(given.fill, 0)
        give = self._table.bind(given) if self._table else None

        def advance(ids: Any) -> None:
            # The reset gate r scales only what the state gives to n, so the two products stay apart.
            product()
            below()
            if give:
                give(ids)
            np.add(gates, carried_gates, gates)
            np.tanh(gates, gates)
            np.multiply(gates, half, gates)
            np.add(gates, half, gates)
            np.multiply(carried_n, r, carried_n)
            np.add(n, carried_n, n)
            np.tanh(n, n)
            np.subtract(h, n, h)
            np.multiply(h, z, h)
            np.add(h, n, h)

        return Running(advance, h.__setitem__, h, read, [h])


class Rnn(Cell):
    """Elman 1990."""

    def __init__(self, arrays: list[Array], embedding: Array | None, matrix: type[Matrix]) -> None:
        w_ih, w_hh, b_ih, b_hh = arrays
        self.hidden = w_hh.shape[1]
        self._table, self._matrix = _laid_out(w_hh, w_ih, b_ih + b_hh, embedding, matrix)

    def run(self, batch: int) -> Running:
        """The layer in its empty state, for so many streams."""
        h, read, vector = _vector(self.hidden, self._table, batch)
        work = zeros(self.hidden, batch)
        product = self._matrix.bind(vector, work)
        give = self._table.bind(work) if self._table else None
        tanh = np.tanh

        def advance(ids: Any) -> None:
            product()
            if give:
                give(ids)
            tanh(work, h)

        return Running(advance, h.__setitem__, h, read, [h])


def _laid_out(
    w_hh: Array, w_ih: Array, bias: Array, embedding: Array | None, matrix: type[Matrix]
) -> tuple[_Table | None, Matrix]:
    """What a layer adds for an id, in the first one, and its one product."""
    if embedding is None:
        return None, matrix(w_hh, w_ih, bias)
    return _Table(embedding @ w_ih.T + bias), matrix(w_hh, None, None)


def _vector(size: int, table: _Table | None, batch: int) -> tuple[Array, Array, Array]:
    """h, what is read, and the vector that the product takes: h alone, or h, read and a one."""
    vector = before_one(2 * size, batch)
    h, read = vector[:size], vector[size:-1]
    return h, read, h if table else vector


CELLS: dict[str, type[Cell]] = {"lstm": Lstm, "gru": Gru, "rnn": Rnn}


def zeros(rows: int, batch: int) -> Array:
    """Zeros (rows,) for one stream, (rows, B) for several."""
    return np.zeros(rows if batch == 1 else (rows, batch), np.float32)


def before_one(rows: int, batch: int) -> Array:
    """So many zeros and a one, for a matrix whose last column is a bias."""
    vector = zeros(rows + 1, batch)
    vector[-1] = 1
    return vector


def folded(array: Array) -> Array:
    """Several streams (rows, B) as (rows / n, n, B), one as it is.

    To NumPy, a row of 64 takes longer to begin than to compute with. What is one number for each
    stream, written n times as (n, B), meets n rows at once.
    """
    if array.ndim == 1:
        return array
    rows, batch = array.shape
    return array.reshape(rows // math.gcd(rows, 16), -1, batch)


def of_streams(array: Array) -> Array:
    """Room for one number for each stream, by which the `folded` array can be multiplied."""
    return np.zeros_like(folded(array)[0])


def by_stream(ufunc: np.ufunc, array: Array) -> Array:
    """What is the sum, or the like, of each stream in a `folded` array, (B,)."""
    result: Array = ufunc.reduce(ufunc.reduce(array))
    return result


def _spread(column: Array, like: Array) -> Array:
    """A column (rows,) for each stream: one that NumPy spreads while computing takes twice as long."""
    return np.array(np.broadcast_to(column if like.ndim == 1 else column[:, None], like.shape))
