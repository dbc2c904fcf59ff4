"""Recurrent weights of eight bits, multiplied by torch."""

from __future__ import annotations

import numpy as np
import torch

from chargen.generation import cells
from chargen.generation.cells import Array

INT8_MAX = 127


class Int8Matrix:
    """A `cells.Float32Matrix`, quantised to eight bits: scale_row * scale_vector * (W @ v) + b.

    Each row of weights has one scale; each vector gets one at each step, per stream. The sums of the
    integer product are exact, so they do not depend on how many streams are computed together. The
    bias keeps its precision.
    """

    def __init__(self, w_hh: Array | None, w_ih: Array | None, bias: Array | None) -> None:
        weights = np.hstack([part for part in (w_hh, w_ih) if part is not None])
        scales = np.maximum(np.abs(weights).max(1), np.finfo(np.float32).tiny) / INT8_MAX
        quantised = cells.huge_page_array(weights.shape, np.int8)
        quantised[...] = np.rint(weights / scales[:, None])
        self._weights, self._scales, self._bias = torch.from_numpy(quantised), scales, bias

    def bind(self, vector: Array, out: Array) -> cells.Call:
        """Returns a function that writes the product with `vector` into `out`."""
        weights, vector = self._weights, vector[: self._weights.shape[1]]
        scaled = np.zeros_like(vector)
        quantised = torch.zeros(len(vector), vector[0].size, dtype=torch.int8, device="cpu")
        sums = torch.zeros(len(out), vector[0].size, dtype=torch.int32, device="cpu")
        quantised_view = quantised.numpy().reshape(vector.shape)
        sums_view = sums.numpy().reshape(out.shape)
        row_scales = cells.broadcast_copy(self._scales / np.float32(INT8_MAX), out)
        bias = None if self._bias is None else cells.broadcast_copy(self._bias, out)
        up, largest = cells.per_stream_buffer(vector), cells.per_stream_buffer(out)
        vector_rows, scaled_rows, out_rows = (
            cells.group_rows(vector),
            cells.group_rows(scaled),
            cells.group_rows(out),
        )
        absolute, multiply, rint, copyto, add = np.abs, np.multiply, np.rint, np.copyto, np.add
        product = torch._int_mm

        def measure_one() -> None:
            absolute(vector, scaled)
            top = scaled.item(scaled.argmax()) or 1.0  # four times as fast as `max`
            largest.fill(top)
            up.fill(INT8_MAX / top)

        def measure_several() -> None:
            absolute(vector, scaled)
            top = cells.reduce_rows(np.maximum, scaled_rows)
            top[top == 0] = 1
            largest[...] = top
            up[...] = INT8_MAX / top

        measure = measure_one if vector.ndim == 1 else measure_several

        def run() -> None:
            # 1. Quantise the vector.
            measure()
            multiply(vector_rows, up, scaled_rows)
            rint(scaled, scaled)
            copyto(quantised_view, scaled, "unsafe")
            # 2. Multiply.
            product(weights, quantised, out=sums)
            # 3. Scale back.
            copyto(out, sums_view, "unsafe")
            multiply(out, row_scales, out)
            multiply(out_rows, largest, out_rows)
            if bias is not None:
                add(out, bias, out)

        return run


def product(matrix: Array, vectors: Array) -> Array:
    """Multiplies by torch's threads, as the int8 products do: two thread pools would compete."""
    if vectors.ndim == 1:
        result: Array = matrix.dot(vectors)
        return result
    result = torch.mm(torch.from_numpy(matrix), torch.from_numpy(vectors)).numpy()
    return result
