"""The step of `weights="int8"`: arithmetic whose results are the same on every machine, bit for bit.

It is written down in docs/portable.md, with the reasons. In short: IEEE 754 rounds every operation in
one way, and every sum whose order a library may choose is one of whole numbers, small enough to be
exact. So streams, threads, processors and the versions of NumPy and torch make no difference.

h and the outputs of the layers are whole numbers, 4096 for 1. As in `cells`, the number of calls is
what counts in a step, so whatever multiplies by a power of two is moved to where it costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.generation import cells
from chargen.generation.cells import Array, Call, InputTable, LayerState, zeros
from chargen.generation.int8_matrix import ONE, Int8Matrix
from chargen.generation.quantised import QuantisedLayer, QuantisedModel
from chargen.shapes import NORM_EPSILON

STEPS = 1024  # of the table, for 1
RANGE = 8  # tanh of more than this is 1
MOST_HELD = 256  # the largest value that h is held at: its square still sums exactly

# Adding one of these leaves a float32 no smaller bits than those of its grid: it rounds, half to even.
_ARGUMENT_GRID = np.array(1.5 * (1 << 23) / STEPS, np.float32)
_TANH_GRID = np.array(1.5 * (1 << 23) / ONE, np.float32)
_HALF = np.array(0.5, np.float32)


def tanh_table() -> npt.NDArray[np.float64]:
    """Returns round(4096 * tanh(k / 1024)), for k from -8192 to 8192.

    No value is closer than 0.00004 to half a whole number, so any tanh in double precision will do.
    """
    steps = np.arange(-RANGE * STEPS, RANGE * STEPS + 1)
    return np.asarray(np.rint(ONE * np.tanh(steps / STEPS)))


@cache
def _tanh_is_exact() -> bool:
    """Whether this machine's tanh in single precision rounds to the table, for every argument.

    Then it takes the place of the table, as it is three times as fast for many streams.
    """
    steps = np.arange(-RANGE * STEPS, RANGE * STEPS + 1, dtype=np.float32)
    return np.array_equal(np.rint(np.tanh(steps / STEPS) * ONE), tanh_table())


def _tanh() -> Callable[[Array, Array], Any]:
    """Returns a tanh for arguments on the grid which, once it is rounded, is that of the table."""
    if _tanh_is_exact():
        return np.tanh
    table = (tanh_table() / ONE).astype(np.float32)
    last = np.float32(len(table) - 1)

    def look_up(a: Array, out: Array) -> None:
        places = np.clip((a + np.float32(RANGE)) * np.float32(STEPS), 0, last)
        table.take(places.astype(np.int64), out=out, mode="clip")

    return look_up


class Int8Network:
    """The layers and the head of a model of eight bits; see `decoder.Network`."""

    def __init__(self, model: QuantisedModel) -> None:
        cell, size = _CELLS[model.config.cell], model.config.hidden_size
        self._size = size
        self.cells: list[cells.Cell] = [
            cell(layer, size, None if depth else model.input_table())
            for depth, layer in enumerate(model.layers)
        ]
        rows = np.arange(len(model.head_bias))
        self._head = Int8Matrix(model.head, rows, np.ones(len(rows), np.float32))
        self._bias = model.head_bias

    def bind_norm(self, h: Array, below: Array | None, out: Array) -> Call:
        """Returns a function that writes round(h / rms(h)) + below into `out`.

        All arrays are (H,) or (H, B); rms is the root mean square of each stream.
        """
        wide: Any = np.zeros_like(h, np.float64)
        root, epsilon = math.sqrt(len(h)) * ONE, len(h) * NORM_EPSILON * ONE**2
        scale = cells.per_stream_buffer(h)
        h_rows, out_rows, wide_rows = (cells.group_rows(array) for array in (h, out, wide))
        copyto, multiply, rint, add, sqrt = np.copyto, np.multiply, np.rint, np.add, math.sqrt

        def measure_one() -> None:
            scale.fill(root / sqrt(float(wide.dot(wide)) + epsilon))

        def measure_several() -> None:
            multiply(wide, wide, wide)
            scale[...] = root / np.sqrt(cells.reduce_rows(add, wide_rows) + epsilon)

        measure = measure_one if h.ndim == 1 else measure_several

        def run() -> None:
            copyto(wide, h)
            measure()
            multiply(h_rows, scale, out_rows)
            rint(out, out)
            if below is not None:
                add(out, below, out)

        return run

    def bind_head(self, batch: int) -> tuple[Array, Call]:
        """Returns the array for the output of the last layer, and a function for its logits."""
        outputs, products = zeros(self._size, batch), zeros(len(self._bias), batch)
        product, bias = self._head.bind(outputs, products), cells.broadcast_copy(self._bias, products)

        def logits() -> Any:
            product()
            return products + bias

        return outputs, logits


# The cells ----------------------------------------------------------------------------------------


class _Int8Lstm(cells.Cell):
    """`cells.Lstm`, in whole numbers."""

    def __init__(self, layer: QuantisedLayer, size: int, table: npt.NDArray[Any] | None) -> None:
        self.hidden = size
        i, f, g, o = np.arange(4 * size).reshape(4, size)  # PyTorch's order
        order = np.concatenate([i, f, o, g])  # the sigmoids side by side, and g beside c
        halves = np.repeat(
            np.array([0.5, 0.5, 0.5, 1], np.float32), size
        )  # σ(a) = tanh(a / 2) / 2 + 1 / 2
        self._matrix = Int8Matrix(layer.matrices[0], order, halves)
        self._table = None if table is None else InputTable(_on_grid(table[:, order] * halves))
        self._bias = _on_grid(layer.biases[0][order] * halves)

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        size = self.hidden
        vector = zeros(2 * size, batch)
        h, inputs = vector[:size], vector[size:]
        rows = zeros(5 * size, batch)  # i, f, o, g, c; the sigmoids are doubled
        gates, i_f = rows[: 4 * size], rows[: 2 * size]
        o, g_c, c = rows[2 * size : 3 * size], rows[3 * size :], rows[4 * size :]
        products = np.zeros_like(i_f)
        i_g, f_c = products[:size], products[size:]
        product = self._matrix.bind(h if self._table else vector, gates)
        add_input = _input_adder(self._table, self._bias, gates)
        squash, output = _bind_squash(gates, 3 * size), _bind_output(c, o, h)
        multiply, add, half = np.multiply, np.add, _HALF

        def advance(tokens: Any) -> None:
            product()
            add_input(tokens)
            squash()
            multiply(i_f, g_c, products)  # 2 i ⊙ g and 2 f ⊙ c at once
            add(i_g, f_c, c)
            multiply(c, half, c)
            output()

        def clamp(component: int, value: float) -> None:
            c[component] = min(max(value, -RANGE), RANGE)
            output()

        return LayerState(advance, clamp, h, inputs, [h, c])


class _Int8Gru(cells.Cell):
    """`cells.Gru`, in whole numbers."""

    def __init__(self, layer: QuantisedLayer, size: int, table: npt.NDArray[Any] | None) -> None:
        self.hidden = size
        order = np.arange(3 * size)  # r, z, n
        halves = np.repeat(np.array([0.5, 0.5, 1], np.float32), size)
        self._hidden_matrix, *rest = [Int8Matrix(rows, order, halves) for rows in layer.matrices]
        self._hidden_bias = layer.biases[0] * halves
        self._table = None if table is None else InputTable(_on_grid(table * halves))
        self._input_matrix = rest[0] if rest else None
        self._input_bias = _on_grid(layer.biases[1] * halves)

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        size = self.hidden
        h, inputs = zeros(size, batch), zeros(size, batch)
        from_h, from_inputs = zeros(3 * size, batch), zeros(3 * size, batch)  # r, z, n
        gates, n = from_inputs[: 2 * size], from_inputs[2 * size :]
        r, z = from_inputs[:size], from_inputs[size : 2 * size]
        gates_from_h, n_from_h = from_h[: 2 * size], from_h[2 * size :]
        hidden_bias = cells.broadcast_copy(self._hidden_bias, from_h)
        hidden_product = self._hidden_matrix.bind(h, from_h)
        if self._input_matrix:
            input_product = self._input_matrix.bind(inputs, from_inputs)
        else:
            input_product = partial(from_inputs.fill, 0)
        add_input = _input_adder(self._table, self._input_bias, from_inputs)
        squash_gates, squash_n = _bind_squash(gates, 2 * size), _bind_squash(n, 0)
        one = np.array(ONE, np.float32)

        def advance(tokens: Any) -> None:
            hidden_product()
            np.add(from_h, hidden_bias, from_h)
            input_product()
            add_input(tokens)
            np.add(gates, gates_from_h, gates)
            squash_gates()
            np.multiply(gates, _HALF, gates)
            np.multiply(n_from_h, r, n_from_h)
            np.add(n, n_from_h, n)
            squash_n()
            np.multiply(n, one, n)
            np.subtract(h, n, h)  # h' = n + z ⊙ (h - n)
            np.multiply(h, z, h)
            np.add(h, n, h)
            np.rint(h, h)

        return LayerState(advance, partial(_hold, h), h, inputs, [h])


class _Int8Rnn(cells.Cell):
    """`cells.Rnn`, in whole numbers."""

    def __init__(self, layer: QuantisedLayer, size: int, table: npt.NDArray[Any] | None) -> None:
        self.hidden = size
        self._matrix = Int8Matrix(layer.matrices[0], np.arange(size), np.ones(size, np.float32))
        self._table = None if table is None else InputTable(_on_grid(table))
        self._bias = _on_grid(layer.biases[0])

    def initial_state(self, batch: int) -> LayerState:
        """Returns the empty state, for `batch` streams."""
        size = self.hidden
        vector, sums = zeros(2 * size, batch), zeros(size, batch)
        h, inputs = vector[:size], vector[size:]
        product = self._matrix.bind(h if self._table else vector, sums)
        add_input, squash = _input_adder(self._table, self._bias, sums), _bind_squash(sums, 0)
        one = np.array(ONE, np.float32)

        def advance(tokens: Any) -> None:
            product()
            add_input(tokens)
            squash()
            np.multiply(sums, one, h)

        return LayerState(advance, partial(_hold, h), h, inputs, [h])


_CELLS: dict[str, Any] = {"lstm": _Int8Lstm, "gru": _Int8Gru, "rnn": _Int8Rnn}


def _on_grid(sums: npt.NDArray[Any]) -> Array:
    """Returns biases that round whatever they are added to to the steps of the table."""
    return np.asarray(sums.astype(np.float64) + float(_ARGUMENT_GRID), np.float32)


def _input_adder(table: InputTable | None, bias: Array, out: Array) -> Any:
    """Returns a function that adds to `out` what does not depend on h: rows of tokens, or a bias."""
    if table:
        return table.bind(out)
    repeated = cells.broadcast_copy(bias, out)
    return lambda tokens: np.add(out, repeated, out)


def _bind_squash(a: Array, sigmoids: int) -> Call:
    """Returns a function that turns sums on the grid into tanh of them, the first rows into 1 + tanh.

    tanh is a multiple of 1 / 4096; (1 + tanh) is twice the sigmoid, as those rows have been halved.
    """
    up = np.full_like(a, _TANH_GRID)
    up[:sigmoids] += 1
    add, subtract, tanh = np.add, np.subtract, _tanh()

    def run() -> None:
        subtract(a, _ARGUMENT_GRID, a)
        tanh(a, a)
        add(a, up, a)
        subtract(a, _TANH_GRID, a)

    return run


def _bind_output(c: Array, doubled_o: Array, h: Array) -> Call:
    """Returns a function that writes round(4096 * o * tanh(c)) into `h`, given twice o."""
    rounded, one = np.zeros_like(c), np.array(ONE, np.float32)
    add, subtract, multiply, rint, tanh = np.add, np.subtract, np.multiply, np.rint, _tanh()

    def run() -> None:
        add(c, _ARGUMENT_GRID, rounded)
        subtract(rounded, _ARGUMENT_GRID, rounded)
        tanh(rounded, rounded)
        multiply(rounded, one, rounded)
        rint(rounded, rounded)
        multiply(rounded, doubled_o, h)
        multiply(h, _HALF, h)
        rint(h, h)

    return run


def _hold(h: Array, component: int, value: float) -> None:
    h[component] = round(min(max(value, -MOST_HELD), MOST_HELD) * ONE)
