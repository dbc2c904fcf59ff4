"""Products of eight-bit matrices and vectors, exact in whole numbers, by torch or by NumPy."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.generation import cells
from chargen.generation.cells import Array, Call
from chargen.generation.quantised import QuantisedRows

ONE = 4096  # of h, of the outputs of the layers, and of tanh in its table
LIMIT = 127  # of a number of eight bits
EXACT_INPUTS = 1040  # products of two numbers of eight bits, whose sum is exact in float32
SMALL = 1 << 16  # a matrix that NumPy multiplies before torch has begun


class Int8Matrix:
    """A matrix of eight bits, which quantises the vectors that it is multiplied with.

    A vector is scaled so that the smallest power of two that is not below its largest number becomes
    127. Torch multiplies whole numbers, where something else has imported it; otherwise NumPy
    multiplies them as float32, at a third of the speed. Both are exact.

    Args:
        rows: the matrix.
        order: the order of its rows here.
        factors: of each row of the product.
    """

    def __init__(self, rows: QuantisedRows, order: npt.NDArray[np.int64], factors: Array) -> None:
        self._values = cells.huge_page_array(rows.values.shape, np.int8)
        self._values[...] = rows.values[order]
        self._scales = rows.scales[order] / np.float32(LIMIT) * factors / np.float32(ONE)

    @cached_property
    def _float32_blocks(self) -> list[cells.Float32Matrix]:
        """The matrix in single precision, in blocks of columns whose sums are exact."""
        starts = range(0, self._values.shape[1], EXACT_INPUTS)
        return [cells.Float32Matrix(self._values[:, i : i + EXACT_INPUTS]) for i in starts]

    def bind(self, vector: Array, out: Array) -> Call:
        """Returns a function that writes the product with `vector` into `out`."""
        scaled = np.zeros_like(vector)
        product = self._bind_product(scaled, out)
        absolute, multiply, rint = np.abs, np.multiply, np.rint
        row_scales = cells.broadcast_copy(self._scales, out)
        by_exponent: dict[int, Any] = {}  # of the power of two: what scales up, and down

        def run_one() -> None:
            absolute(vector, scaled)
            top = int(scaled.item(scaled.argmax()))  # four times as fast as `max`
            exponent = (top - 1).bit_length() if top else 0
            if exponent not in by_exponent:
                power = np.float32(1 << exponent)
                by_exponent[exponent] = np.array(LIMIT / power, np.float32), row_scales * power
            up, down = by_exponent[exponent]
            multiply(vector, up, scaled)
            rint(scaled, scaled)
            product()
            multiply(out, down, out)

        if vector.ndim == 1:
            return run_one
        up, down = cells.per_stream_buffer(vector), cells.per_stream_buffer(out)
        vector_rows, scaled_rows, out_rows = (
            cells.group_rows(array) for array in (vector, scaled, out)
        )

        def run_several() -> None:
            absolute(vector, scaled)
            top = cells.reduce_rows(np.maximum, scaled_rows)
            power = np.ldexp(np.float32(1), np.frexp(top - np.float32(0.5))[1])
            up[...] = LIMIT / power
            down[...] = power
            multiply(vector_rows, up, scaled_rows)
            rint(scaled, scaled)
            product()
            multiply(out, row_scales, out)
            multiply(out_rows, down, out_rows)

        return run_several

    def _bind_product(self, vector: Array, out: Array) -> Call:
        """Returns a function that writes the product with a vector of whole numbers into `out`."""
        torch: Any = sys.modules.get("torch")
        small = vector.ndim == 1 and self._values.size <= SMALL
        if small or not hasattr(torch, "_int_mm"):
            return self._bind_float32_product(vector, out)
        weights = torch.from_numpy(self._values)
        quantised = torch.zeros(len(vector), vector[0].size, dtype=torch.int8, device="cpu")
        sums = torch.zeros(len(out), vector[0].size, dtype=torch.int32, device="cpu")
        quantised_view = quantised.numpy().reshape(vector.shape)
        sums_view = sums.numpy().reshape(out.shape)
        copyto, multiply = np.copyto, torch._int_mm

        def run() -> None:
            copyto(quantised_view, vector, "unsafe")
            multiply(weights, quantised, out=sums)
            copyto(out, sums_view, "unsafe")

        return run

    def _bind_float32_product(self, vector: Array, out: Array) -> Call:
        blocks = self._float32_blocks
        if len(blocks) == 1:
            return blocks[0].bind(vector, out)
        sums, part = np.zeros(out.shape, np.float64), np.zeros_like(out)
        calls = [
            block.bind(vector[number * EXACT_INPUTS : (number + 1) * EXACT_INPUTS], part)
            for number, block in enumerate(blocks)
        ]

        def run() -> None:
            sums.fill(0)
            for call in calls:
                call()
                np.add(sums, part, sums)
            np.copyto(out, sums, "same_kind")

        return run
