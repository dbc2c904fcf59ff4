"""`python -m benchmarks.sampling`: writing one stream, beside a plain loop and beside the limit.

The plain loop is what everyone writes first: `nn.LSTM` with the same weights, one character at a
time, softmax and `torch.multinomial`. The limit is the bare matrix-vector products of a step, with
the shapes and the library of `decoding.py` and nothing between them: every weight has to be read
once per character. All three run on the same threads: one at first, as one stream is one thread's
work, and then all that the machine has.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import torch
from torch import nn

from benchmarks import report, seconds
from chargen import Sampler
from chargen.decoding import Decoder, draw
from chargen.model import LanguageModel, ModelConfig

VOCABULARY = 65
STEPS = 500


def ours(model: LanguageModel) -> float:
    """Characters per second of `decoding.draw`."""
    ids = draw(Decoder(model), [0], Sampler(0.8), seed=0)
    return STEPS / seconds(lambda: list(itertools.islice(ids, STEPS)), 3)


def plain_loop(model: LanguageModel) -> float:
    """Characters per second of a loop over `nn.LSTM`."""
    config = model.config
    lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers)
    for depth, layer in enumerate(model.stack.layers):
        for name, weight in layer.named_parameters():
            getattr(lstm, name.replace("l0", f"l{depth}")).data.copy_(weight)
    token, state = torch.zeros(1, 1, dtype=torch.long), None

    def step() -> None:
        nonlocal token, state
        outputs, state = lstm(model.stack.embedding(token), state)
        probabilities = (model.head(outputs[-1]) / 0.8).softmax(-1)
        token = torch.multinomial(probabilities, 1)

    with torch.inference_mode():
        return 50 / seconds(lambda: [step() for _ in range(50)], 3)


def matrix_vector_products(model: LanguageModel) -> float:
    """Characters per second if a step were its products alone."""
    hidden, depth = model.config.hidden_size, model.config.num_layers
    shapes = [(4 * hidden, hidden), *[(4 * hidden, 2 * hidden)] * (depth - 1), (VOCABULARY, hidden)]
    rng = np.random.default_rng(0)
    products = [
        (
            rng.random(shape, np.float32),
            rng.random(shape[1], np.float32),
            np.empty(shape[0], np.float32),
        )
        for shape in shapes
    ]

    def step() -> None:
        for matrix, vector, out in products:
            np.dot(matrix, vector, out=out)

    return STEPS / seconds(lambda: [step() for _ in range(STEPS)], 3)


def measure(layers: int, hidden: int) -> dict[str, object]:
    """One row of the table."""
    config = ModelConfig(VOCABULARY, num_layers=layers, hidden_size=hidden)
    model = LanguageModel.new(config, seed=0)
    rate, loop, bare = ours(model), plain_loop(model), matrix_vector_products(model)
    return {
        "shape": f"{layers}x{hidden}",
        "characters_per_second": rate,
        "lstm_loop": loop,
        "matvec": bare,
        "ratio_to_lstm_loop": rate / loop,
        "ratio_to_matvec": rate / bare,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rows:  # in a process of its own: libraries read the number of threads once
        torch.set_num_threads(arguments.rows)
        rows = [{"threads": arguments.rows, **measure(2, hidden)} for hidden in (128, 256, 512)]
        print(json.dumps(rows))
        return
    rows = []
    for threads in sorted({1, torch.get_num_threads()}):
        command = [sys.executable, "-m", "benchmarks.sampling", "--rows", str(threads)]
        limits = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], str(threads))
        output = subprocess.run(command, env={**os.environ, **limits}, stdout=-1, check=True).stdout
        rows += json.loads(output)
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
