"""Numbers to check an implementation of docs/portable.md against: tests/portable.json.

`python tests/portable.py` checks this machine's NumPy, and torch if it can be imported, against the
file; `--write` writes the file anew, after the definition has changed. It needs nothing but NumPy.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "tests" / "portable.json"
SHAPES = [("lstm", 2), ("gru", 2), ("rnn", 3), ("lstm", 1)]
SAMPLERS = [
    {"temperature": 0.8},
    {"temperature": 1.3, "top_k": 4},
    {"temperature": 0.7, "top_p": 0.8},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 0.5, "top_k": 6, "top_p": 0.9, "min_p": 0.01},
    {"temperature": 0.0},
]
SEED, STREAMS, STEPS = 7, 3, 70  # more steps than random numbers are drawn at once


def random_weights(config, seed):
    """Returns weights of whole hundredths, which any language reads as they are."""
    from chargen.shapes import weight_shapes

    rng = np.random.default_rng(seed)
    return {
        name: np.float32(rng.integers(-90, 91, shape) / 100)
        for name, shape in weight_shapes(config).items()
    }


def model(cell, layers, seed=1, vocab_size=11, hidden=16):
    """Returns a language model of random weights."""
    from chargen.generation.weights import StoredWeights
    from chargen.shapes import ModelConfig

    config = ModelConfig(vocab_size, cell, layers, hidden, 5)
    return StoredWeights(config, random_weights(config, seed))


def logits_of(weights, tokens, streams=1):
    """Returns the logits after each token, (T, V), as each of `streams` equal streams has them."""
    from chargen.generation.decoder import Decoder

    decoder = Decoder(weights, "int8")
    state = decoder.initial_state(streams)
    if streams == 1:
        return np.array([decoder.step(token, state) for token in tokens])
    together = np.array([decoder.step(np.full(streams, token), state) for token in tokens])
    assert (together == together[:, :, :1]).all(), "streams differ"
    return together[:, :, 0]


def texts_of(weights, sampler, streams):
    """Returns what is drawn after token 0, a list of tokens for each text."""
    from chargen.generation.decoder import Decoder
    from chargen.generation.loop import sample_tokens
    from chargen.generation.sampler import Sampler

    decoder = Decoder(weights, "int8")
    state = decoder.initial_state()
    logits = decoder.step(0, state)
    drawn = sample_tokens(decoder, state, logits, Sampler(**sampler), SEED, streams)
    steps = [np.atleast_1d(tokens).tolist() for tokens in itertools.islice(drawn, STEPS)]
    return [list(text) for text in zip(*steps, strict=True)]


def packer(weights):
    """Returns what packs by a model whose vocabulary is the letters from a to k."""
    from chargen.compression.packing import Packer
    from chargen.generation.decoder import Decoder
    from chargen.tokenizers.characters import CharTokenizer

    return Packer(Decoder(weights, "int8"), CharTokenizer("abcdefghijk"), None, bytes(32))


def letters(weights):
    """Returns a text that a model expects, as it has written it itself."""
    texts = texts_of(weights, {"temperature": 0.7}, 4)
    return bytes(ord("a") + token for text in texts for token in text) + "é\r\n".encode()


def vectors():
    """Returns the content of the file."""
    from chargen.generation.draw import weight_table
    from chargen.generation.int8 import tanh_table
    from chargen.generation.quantised import QuantisedModel, QuantisedRows

    matrix = np.float32([[0.5, -0.25, 0.1, 3.0], [0, 0, 0, 0], [1e-3, 2e-3, -2.5e-3, 7e-4]])
    rows = {bits: QuantisedRows.from_matrix(matrix, bits) for bits in (8, 16)}
    models = []
    for cell, layers in SHAPES:
        weights = model(cell, layers)
        tokens = np.random.default_rng(2).integers(0, 11, 30).tolist()
        config = weights.config
        models.append(
            {
                "config": {
                    "cell": cell,
                    "num_layers": layers,
                    "hidden_size": config.hidden_size,
                    "embedding_size": config.embedding_size,
                    "vocab_size": config.vocab_size,
                },
                "arrays": {
                    name: {"type": str(array.dtype), "values": array.ravel().tolist()}
                    for name, array in QuantisedModel.from_weights(weights).arrays().items()
                },
                "tokens": tokens,
                "logits": logits_of(weights, tokens).tolist(),
                "packed": packer(weights).pack(letters(weights)).hex(),
                "texts": [
                    {"sampler": sampler, "seed": SEED, "tokens": texts_of(weights, sampler, STREAMS)}
                    for sampler in SAMPLERS
                ],
            }
        )
    return {
        "about": "Numbers to check an implementation of docs/portable.md against. `tables`: the sum "
        "of the values, and of each value times its place from 0. `philox`: key, counter, block. "
        "`rows`: a matrix in whole numbers. `models`: weights; the logits after each of `tokens`; "
        "for each sampler the tokens that are drawn after token 0, a list for each text; and what "
        "chargen compress makes of a text, in hexadecimal.",
        "tables": {
            "tanh": _sums(tanh_table()),
            "weights": _sums(weight_table()),
        },
        "philox": [
            {"key": key, "counter": [counter, 0, 0, 0], "words": _words(key, counter)}
            for key in ([0, 0], [7, 2], [2**64 - 1, 1])
            for counter in (1, 2, 65)
        ],
        "rows": {
            "matrix": matrix.tolist(),
            **{
                str(bits): {"values": row.values.tolist(), "scales": row.scales.tolist()}
                for bits, row in rows.items()
            },
        },
        "models": models,
    }


def check(streams=(1, 64)):
    """Raises AssertionError where this machine's NumPy, or torch, disagrees with the file."""
    expected = json.loads(PATH.read_text(encoding="utf-8"))
    found = json.loads(json.dumps(vectors()))
    for part in expected:
        assert found[part] == expected[part], f"{part} differ"
    for (cell, layers), case in zip(SHAPES, expected["models"], strict=True):
        for number in streams:
            logits = logits_of(model(cell, layers), case["tokens"], number)
            assert logits.tolist() == case["logits"], f"{cell} differs for {number} streams"
        weights = model(cell, layers)
        unpacked = packer(weights).unpack(bytes.fromhex(case["packed"]))
        assert unpacked == letters(weights), f"{cell} unpacks something else"
        for text in case["texts"]:
            for number in (1, STREAMS, 64):
                tokens = texts_of(model(cell, layers), text["sampler"], number)
                shared = min(number, STREAMS)
                assert tokens[:shared] == text["tokens"][:shared], f"{cell} draws something else"


def _sums(table):
    return {"sum": int(table.sum()), "weighted": int((table * np.arange(len(table))).sum())}


def _words(key, counter):
    generator = np.random.Philox(key=np.array(key, np.uint64), counter=counter - 1)
    return [f"{word:016x}" for word in generator.random_raw(4).tolist()]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if "--write" in sys.argv:
        text = json.dumps(vectors(), indent=None, separators=(",", ":"))
        PATH.write_text(text.replace('{"config"', '\n{"config"') + "\n", encoding="utf-8")
    check()
    print(f"NumPy {np.__version__}: the same as tests/portable.json")
