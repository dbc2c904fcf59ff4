"""`python -m benchmarks.sampling`: writing, beside a plain loop and beside the limit.

The plain loop is what everyone writes first: `nn.LSTM` with the same weights, one character at a
time, softmax and `torch.multinomial`. The limit is the bare matrix-vector products of a step, with
the shapes and the library of `decoding.py` and nothing between them: every weight has to be read
once per character. All run on the same threads: one at first, as one stream is one thread's work, and
then all that the machine has. With weights of eight bits, and with 64 streams side by side, the limit
is another one. With `--model`, what the eight bits cost that model in nats per character.
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
from chargen import Sampler, Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.generation.decoder import Decoder
from chargen.generation.loop import sample_tokens
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig

VOCABULARY = 65
STEPS = 500  # of one stream, per timed call
LOOP_STEPS = 50  # of the plain loop, per timed call
STREAMS = 64
READ = 20_000  # tokens that int8 is judged by


def ours(model: LanguageModel, weights: str = "fp32", streams: int = 1) -> float:
    """Returns the characters per second of `loop.sample_tokens`."""
    decoder = Decoder(model, weights)
    state = decoder.initial_state()
    logits = decoder.read([0], state)
    tokens = sample_tokens(decoder, state, logits, Sampler(0.8), seed=0, streams=streams)
    steps = STEPS if streams == 1 else 64
    return streams * steps / seconds(lambda: list(itertools.islice(tokens, steps)))


def lost(folder: str, corpus: str) -> dict[str, object]:
    """What a model expects of a corpus's validation part, by its weights in both kinds."""
    writer = TextGenerator.load(folder)
    ids = prepare(Text.open([corpus])).validation[:READ]
    nats = {}
    for weights in ("fp32", "int8"):
        decoder = Decoder(writer.model, weights)
        state = decoder.initial_state()
        logits = torch.tensor(np.array([decoder.step(int(token), state) for token in ids[:-1]]))
        targets = torch.tensor(ids[1:].astype(np.int64))
        nats[weights] = torch.nn.functional.cross_entropy(logits.double(), targets).item()
    config = writer.model.config
    return {
        "model": folder,
        "shape": f"{config.num_layers}x{config.hidden_size}",
        "fp32_nats": f"{nats['fp32']:.4f}",
        "int8_nats": f"{nats['int8']:.4f}",
        "lost": f"{nats['int8'] - nats['fp32']:.4f}",
    }


def plain_loop(model: LanguageModel) -> float:
    """Characters per second of a loop over `nn.LSTM`."""
    config = model.config
    lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers)
    for depth, layer in enumerate(model.stack.layers):
        for name, weight in layer.named_parameters():
            getattr(lstm, name.replace("l0", f"l{depth}")).data.copy_(weight)
    token, state = torch.zeros(1, 1, dtype=torch.long), None

    def write() -> None:
        nonlocal token, state
        for _ in range(LOOP_STEPS):
            outputs, state = lstm(model.stack.embedding(token), state)
            probabilities = (model.head(outputs[-1]) / 0.8).softmax(-1)
            token = torch.multinomial(probabilities, 1)

    with torch.inference_mode():
        return LOOP_STEPS / seconds(write)


def matrix_vector_products(model: LanguageModel) -> float:
    """Characters per second if a step were its products alone, in rows, as anyone has them."""
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

    def multiply() -> None:
        for _ in range(STEPS):
            for matrix, vector, out in products:
                np.dot(matrix, vector, out=out)

    return STEPS / seconds(multiply)


def measure(layers: int, hidden: int) -> dict[str, object]:
    """One row of the table."""
    config = ModelConfig(VOCABULARY, num_layers=layers, hidden_size=hidden)
    model = LanguageModel.new(config, seed=0)
    rate, loop, bare = ours(model), plain_loop(model), matrix_vector_products(model)
    int8 = ours(model, "int8")
    many, many_int8 = ours(model, streams=STREAMS), ours(model, "int8", STREAMS)
    return {
        "shape": f"{layers}x{hidden}",
        "characters_per_second": rate,
        "lstm_loop": loop,
        "matvec": bare,
        "ratio_to_lstm_loop": rate / loop,
        "ratio_to_matvec": rate / bare,
        "int8": int8,
        "int8_to_fp32": int8 / rate,
        "64_streams": many,
        "64_to_1": many / rate,
        "64_streams_int8": many_int8,
        "64_int8_to_1": many_int8 / rate,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    parser.add_argument("--model", help="a model of which to say what int8 costs")
    parser.add_argument("--corpus", default="python-docs", help="the text that it was trained on")
    arguments = parser.parse_args()
    if arguments.model:
        report([lost(arguments.model, arguments.corpus)], arguments.json)
        return
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
