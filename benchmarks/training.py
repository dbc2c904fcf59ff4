"""`python -m benchmarks.training`: a training step beside a bare matrix product.

The operations of a step are counted as those of its matrix products, forward and backward; what else
a step does (nonlinearities, loss, clipping, optimiser, reading the corpus) takes time without
counting. The bare product is 2048 × 2048 × 2048 in fp32, by `torch.mm`.

With `--minutes`, a text is learned for that long and its validation score is shown as well.
"""

from __future__ import annotations

import argparse
import itertools
import string

import numpy as np
import torch

from benchmarks import report, seconds
from chargen import Text
from chargen.data.corpus import prepare
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.language_modeling import train
from chargen.training.speed import flops_per_token

GEMM = 2048


def gemm_flops() -> float:
    """Floating-point operations per second of a bare product."""
    a, b = torch.randn(GEMM, GEMM), torch.randn(GEMM, GEMM)
    out = torch.empty(GEMM, GEMM)
    return 2 * GEMM**3 / seconds(lambda: torch.mm(a, b, out=out))


def measure(layers: int, hidden: int, batch: int, window: int) -> dict[str, object]:
    """One row of the table: whole steps of `training.train`, by their median time."""
    letters = np.random.default_rng(0).choice(list(string.printable[:65]), 200_000)
    corpus = prepare(Text.from_string("".join(letters)), val_fraction=0.0)
    config = ModelConfig(len(corpus.tokenizer), num_layers=layers, hidden_size=hidden)
    model = LanguageModel.new(config, seed=0)
    steps = train(model, corpus, TrainConfig(steps=10**6, batch=batch, window=window))
    stamps = [step.seconds for step in itertools.islice(steps, 40)][5:]
    per_step = float(np.median(np.diff(stamps)))
    rate = batch * window / per_step
    achieved, bare = rate * flops_per_token(config), gemm_flops()
    return {
        "shape": f"{layers}x{hidden}",
        "lanes": f"{batch}x{window}",
        "characters_per_second": rate,
        "gflops": achieved / 1e9,
        "gemm_gflops": bare / 1e9,
        "ratio_to_gemm": achieved / bare,
    }


def learn(file: str, minutes: float, hidden: int) -> dict[str, object]:
    """The validation score of a text after so many minutes."""
    corpus = prepare(Text.open([file]))
    config = ModelConfig(len(corpus.tokenizer), hidden_size=hidden)
    *_, last = train(LanguageModel.new(config, 0), corpus, TrainConfig(minutes=minutes))
    return {
        "shape": f"2x{hidden}",
        "corpus": corpus.name,
        "minutes": minutes,
        "val_nats_per_token": last.score.nats_per_token,
        "val_bits_per_character": last.score.bits_per_character,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, help="also learn a text for so long")
    parser.add_argument("--corpus", default="python-docs", help="the text to learn")
    parser.add_argument("--hidden", type=int, default=256, help="the hidden size to learn it with")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    rows = [measure(2, hidden, TrainConfig.batch, TrainConfig.window) for hidden in (128, 256, 512)]
    rows.append(measure(2, 512, 64, 64))
    report(rows, arguments.json)
    if arguments.minutes:
        report([learn(arguments.corpus, arguments.minutes, arguments.hidden)], arguments.json)


if __name__ == "__main__":
    main()
