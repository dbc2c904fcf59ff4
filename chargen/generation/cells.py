"""One step of each recurrent cell, in NumPy.

At these sizes a NumPy call takes as long as its arithmetic, so the number of calls is what counts. A
step therefore differs from the textbook equations, which stand at each cell, in four ways:

- The product of the first layer's input weights and each embedding is computed once: a row per token.
- The other products of a layer are one: [W_hh | W_ih | b] times [h, x, 1].
- σ(a) = tanh(a / 2) / 2 + 1 / 2. With the weights of the gates halved, one tanh serves all gates.
- Every result is written into memory that exists already, and a layer's output lies where the next
  layer reads its input. Closures bind all of it before the first step.

Vectors are columns: (H,) for one stream, (H, B) for several.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Call = Callable[[], Any]
_HUGE_PAGE_BYTES = 1 << 22  # size from which NumPy asks the system for huge pages


class LayerState(NamedTuple):
    """The state of one layer, for one stream or several, with the functions that change it in place.

    `advance(tokens)` computes the next h. It reads `inputs`, or in the first layer the tokens.
    `clamp(component, value)`, called after it, sets a component of c, or of h where there is no c.
    """

    advance: Callable[[Any], Any]
    clamp: Callable[[int, float], None]
    h: Array  # (H,) or (H, B)
    inputs: Array  # (H,) or (H, B), written by the layer below
    carried: list[Array]  # h, and c of an LSTM: all that the next step depends on


# The matrices -------------------------------------------------------------------------------------


class Float32Matrix:
    """The matrix [W_hh | W_ih | b], any part of which may be missing, in single precision."""

    def __init__(
        self, w_hh: Array | None, w_ih: Array | None = None, bias: Array | None = None
    ) -> None:
        column = None if bias is None else bias[:, None]
        weights = np.hstack([part for part in (w_hh, w_ih, column) if part is not None])
        # Column by column: OpenBLAS multiplies that order a tenth faster than row by row.
        self._weights = huge_page_array(weights.shape[::-1], np.float32).T
        self._weights[...] = weights

    def __reduce__(self) -> Any:
        """Pickles the weights, which are laid out anew when they are loaded."""
        return Float32Matrix, (np.ascontiguousarray(self._weights),)

    def bind(self, vector: Array, out: Array) -> Call:
        """Returns a function that writes the product with `vector` into `out`."""
        return partial(self._weights.dot, vector, out)


def huge_page_array(shape: tuple[int, ...], kind: type) -> Any:
    """Returns an empty array in huge pages, if the system has them: they are read a tenth faster."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    memory = np.empty(max(size, _HUGE_PAGE_BYTES) + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(kind).reshape(shape)


class InputTable:
    """The input product of the first layer, computed once for all tokens: a row per token.

    Args:
        table: (V, rows).
    """

    def __init__(self, table: Array) -> None:
        self._rows = list(table)

    @cached_property
    def _columns(self) -> Array:
        return np.stack(self._rows, 1)  # (rows, V), of which columns are taken five times as fast

    def bind(self, out: Array) -> Callable[[Any], Any]:
        """Returns a function that adds the rows of tokens to `out`, (rows,) or (rows, B)."""
        rows, add = self._rows, np.add
        if out.ndim == 1:
            return lambda token: add(out, rows[token], out)
        selected = np.zeros_like(out)
        select = _column_selector(self._columns, selected)

        def add_rows(tokens: Any) -> None:
            select(tokens)
            add(out, selected, out)

        return add_rows


def _column_selector(matrix: Array, out: Array) -> Callable[[Any], Any]:
    """Returns a function that writes columns of `matrix` into `out`.

    Torch does it in half the time; where something else has imported it, it is used.
    """
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "index_select"):
        return partial(matrix.take, axis=1, out=out, mode="clip")  # "raise" would buffer `out`
    select, from_numpy = torch.index_select, torch.from_numpy
    tensor, selected = from_numpy(matrix), from_numpy(out)
    return lambda tokens: select(tensor, 1, from_numpy(tokens), out=selected)


# The cells ----------------------------------------------------------------------------------------


class Cell:
    """The weights of one layer, laid out for its step.

    Args:
        arrays: PyTorch's w_ih (G * H, I), w_hh (G * H, H), b_ih and b_hh (G * H,), for G gates.
        embedding: (V, I), of the first layer only, which looks its input up.
    """

    hidden: int

    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        raise NotImplementedError

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        raise NotImplementedError


class Lstm(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000).

    i  = σ(W_i x + U_i h + b_i)        input gate
    f  = σ(W_f x + U_f h + b_f)        forget gate
    o  = σ(W_o x + U_o h + b_o)        output gate
    g  = tanh(W_g x + U_g h + b_g)     candidate
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')
    """

    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        self.hidden = arrays[1].shape[1]
        i, f, g, o = np.arange(4 * self.hidden).reshape(4, self.hidden)  # PyTorch's order
        order = np.concatenate([i, f, o, g])  # the sigmoids side by side, and g beside c
        scale = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), self.hidden)
        w_ih, w_hh, b_ih, b_hh = ((array[order].T * scale).T for array in arrays)
        self._table, self._matrix = _table_and_matrix(w_hh, w_ih, b_ih + b_hh, embedding)

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        size = self.hidden
        h, inputs, vector = _matrix_input(size, self._table, batch)
        rows = zeros(5 * size, batch)  # i, f, o, g, c
        gates, i_f_o, i_f = rows[: 4 * size], rows[: 3 * size], rows[: 2 * size]
        o, g_c, c = rows[2 * size : 3 * size], rows[3 * size :], rows[4 * size :]
        half = np.array(0.5, np.float32)  # twice as fast as a Python number or an array (1,)
        products = np.zeros_like(i_f)
        i_g, f_c = products[:size], products[size:]
        product = self._matrix.bind(vector, gates)
        add_rows = self._table.bind(gates) if self._table else None
        tanh, multiply, add = np.tanh, np.multiply, np.add

        def advance(tokens: Any) -> None:
            product()
            if add_rows:
                add_rows(tokens)
            tanh(gates, gates)
            multiply(i_f_o, half, i_f_o)  # with the next line, σ from tanh
            add(i_f_o, half, i_f_o)
            multiply(i_f, g_c, products)  # i ⊙ g and f ⊙ c at once
            add(i_g, f_c, c)
            tanh(c, h)
            multiply(h, o, h)

        def clamp(component: int, value: float) -> None:
            c[component] = value
            h[component] = o[component] * math.tanh(value)

        return LayerState(advance, clamp, h, inputs, [h, c])


class Gru(Cell):
    """Gated recurrent unit (Cho et al. 2014), in the form of cuDNN and PyTorch.

    r  = σ(W_r x + U_r h + b_r)                 reset gate
    z  = σ(W_z x + U_z h + b_z)                 update gate
    n  = tanh(W_n x + b_n + r ⊙ (U_n h + b_hn)) candidate
    h' = (1 - z) ⊙ n + z ⊙ h
    """

    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        self.hidden = arrays[1].shape[1]
        scale = np.repeat(np.array([0.5, 0.5, 1], np.float32), self.hidden)  # rows r, z, n
        w_ih, w_hh, b_ih, b_hh = ((array.T * scale).T for array in arrays)
        # r scales only the product with h in n, so the two products cannot be one.
        self._hidden_matrix = Float32Matrix(w_hh, None, b_hh)
        self._table = None if embedding is None else InputTable(embedding @ w_ih.T + b_ih)
        self._input_matrix = Float32Matrix(None, w_ih, b_ih) if embedding is None else None

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        size = self.hidden
        h_and_one, inputs_and_one = zeros_and_one(size, batch), zeros_and_one(size, batch)
        h, inputs = h_and_one[:-1], inputs_and_one[:-1]
        from_h, from_inputs = zeros(3 * size, batch), zeros(3 * size, batch)  # r, z, n
        gates, n = from_inputs[: 2 * size], from_inputs[2 * size :]
        r, z = from_inputs[:size], from_inputs[size : 2 * size]
        gates_from_h, n_from_h = from_h[: 2 * size], from_h[2 * size :]
        half = np.array(0.5, np.float32)
        hidden_product = self._hidden_matrix.bind(h_and_one, from_h)
        if self._input_matrix:
            input_product = self._input_matrix.bind(inputs_and_one, from_inputs)
        else:
            input_product = partial(from_inputs.fill, 0)
        add_rows = self._table.bind(from_inputs) if self._table else None

        def advance(tokens: Any) -> None:
            hidden_product()
            input_product()
            if add_rows:
                add_rows(tokens)
            np.add(gates, gates_from_h, gates)
            np.tanh(gates, gates)
            np.multiply(gates, half, gates)  # with the next line, σ from tanh
            np.add(gates, half, gates)
            np.multiply(n_from_h, r, n_from_h)
            np.add(n, n_from_h, n)
            np.tanh(n, n)
            np.subtract(h, n, h)  # h' = n + z ⊙ (h - n)
            np.multiply(h, z, h)
            np.add(h, n, h)

        return LayerState(advance, h.__setitem__, h, inputs, [h])


class Rnn(Cell):
    """Simple recurrent network (Elman 1990).

    h' = tanh(W x + U h + b)
    """

    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        w_ih, w_hh, b_ih, b_hh = arrays
        self.hidden = w_hh.shape[1]
        self._table, self._matrix = _table_and_matrix(w_hh, w_ih, b_ih + b_hh, embedding)

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        h, inputs, vector = _matrix_input(self.hidden, self._table, batch)
        sums = zeros(self.hidden, batch)
        product = self._matrix.bind(vector, sums)
        add_rows = self._table.bind(sums) if self._table else None
        tanh = np.tanh

        def advance(tokens: Any) -> None:
            product()
            if add_rows:
                add_rows(tokens)
            tanh(sums, h)

        return LayerState(advance, h.__setitem__, h, inputs, [h])


def _table_and_matrix(
    w_hh: Array, w_ih: Array, bias: Array, embedding: Array | None
) -> tuple[InputTable | None, Float32Matrix]:
    """Returns the table of the first layer, and the matrix of what is left to multiply."""
    if embedding is None:
        return None, Float32Matrix(w_hh, w_ih, bias)
    return InputTable(embedding @ w_ih.T + bias), Float32Matrix(w_hh)


def _matrix_input(size: int, table: InputTable | None, batch: int) -> tuple[Array, Array, Array]:
    """Returns h, the layer's input, and the vector for its matrix: h alone, or [h, x, 1]."""
    vector = zeros_and_one(2 * size, batch)
    h, inputs = vector[:size], vector[size:-1]
    return h, inputs, h if table else vector


CELLS: dict[str, type[Cell]] = {"lstm": Lstm, "gru": Gru, "rnn": Rnn}


# Arrays of one stream or several ------------------------------------------------------------------


def zeros(rows: int, batch: int) -> Array:
    """Returns zeros, (rows,) for one stream and (rows, B) for several."""
    return np.zeros(rows if batch == 1 else (rows, batch), np.float32)


def zeros_and_one(rows: int, batch: int) -> Array:
    """Returns zeros and a last row of ones, for the bias: (rows + 1,) or (rows + 1, B)."""
    vector = zeros(rows + 1, batch)
    vector[-1] = 1
    return vector


def group_rows(array: Array) -> Array:
    """Returns a view of several streams (rows, B) as (rows / n, n, B), and of one stream unchanged.

    For NumPy, a short row takes longer to begin than to compute. A number per stream, repeated n times
    as (n, B), is combined with n rows at once.
    """
    if array.ndim == 1:
        return array
    rows, batch = array.shape
    return array.reshape(rows // math.gcd(rows, 16), -1, batch)


def per_stream_buffer(array: Array) -> Array:
    """Returns zeros for one number per stream, in a shape that combines with `group_rows(array)`."""
    return np.zeros_like(group_rows(array)[0])


def reduce_rows(ufunc: np.ufunc, grouped: Array) -> Array:
    """Returns the sum, or another reduction, of each stream of a grouped array: (B,)."""
    result: Array = ufunc.reduce(ufunc.reduce(grouped))
    return result


def broadcast_copy(column: Array, like: Array) -> Array:
    """Returns a column (rows,) repeated for each stream: broadcasting at each step is half as fast."""
    return np.array(np.broadcast_to(column if like.ndim == 1 else column[:, None], like.shape))
