"""Any bytes come back from their packed form; what is damaged or foreign is one sentence."""

import lzma
import os
import subprocess
import sys

import numpy as np
import portable
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen import ChargenError, TextGenerator
from chargen.compression import packing, rans
from chargen.compression.symbols import Reader, from_symbols, to_symbols, varint
from chargen.tokenizers.bytes import ByteTokenizer
from chargen.tokenizers.characters import CharTokenizer

ENGLISH = "The model reads one character at a time; it writes what is likely next.\n" * 20


@pytest.fixture(scope="module")
def starter():
    return TextGenerator.load()


def generator(kind="char", split_on=None, text=ENGLISH):
    return TextGenerator.new(
        text, tokenizer=kind, vocab_size=300, split_on=split_on, hidden_size=8, num_layers=1
    )


# The coder ----------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(0, 60),
    lanes=st.integers(1, 5),
    sharpness=st.floats(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_the_coder_gives_back_every_symbol_and_takes_little_more_than_their_information(
    seed, steps, lanes, sharpness
):
    rng = np.random.default_rng(seed)
    weights = np.floor(2**30 * np.exp(-sharpness * rng.random((steps, lanes, 7))))
    ends = np.array([rans.frequencies(row).cumsum(1) for row in weights]).reshape(steps, lanes, 7)
    symbols = rng.integers(0, 7, (steps, lanes))
    starts = np.take_along_axis(ends, symbols[..., None], 2)[..., 0]
    begins = np.where(
        symbols > 0, np.take_along_axis(ends, np.maximum(symbols - 1, 0)[..., None], 2)[..., 0], 0
    )
    coded = rans.encode(begins, starts - begins)
    decoder = rans.Decoder(coded)
    for step in range(steps):
        found = (ends[step] <= decoder.targets[:, None]).sum(1)
        assert (found == symbols[step]).all()
        decoder.advance(begins[step], (starts - begins)[step])
    information = -np.log2((starts - begins) / rans.TOTAL).sum()
    size = sum(32 * len(lane.words) + 64 for lane in coded)
    assert size <= information * 1.001 + 65 * lanes


@given(st.lists(st.floats(0, 2**30), min_size=1, max_size=50))
def test_frequencies_add_up_and_leave_room_for_everything(weights):
    row = np.floor(np.array([[*weights, 2.0**30]]))
    frequencies = rans.frequencies(row)
    assert frequencies.sum() == rans.TOTAL
    assert frequencies.min() >= 1


@given(st.integers(0, 2**60))
def test_numbers_come_back(number):
    assert Reader(varint(number) + b"x").varint() == number


# Bytes and tokens ---------------------------------------------------------------------------------

TEXTS = st.text(max_size=60) | st.text("the model\r\n\né”\ud800", max_size=60)


@given(data=st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(deadline=None)
@pytest.mark.parametrize("separator", [None, "\n", "\n\n", "t"])
@pytest.mark.parametrize("kind", ["char", "byte"])
def test_any_bytes_come_back_from_tokens(kind, separator, data):
    documents = separator is not None
    tokenizer = CharTokenizer(" adehlmot", documents) if kind == "char" else ByteTokenizer(documents)
    symbols = to_symbols(data, tokenizer, separator)
    assert symbols.tokens.dtype == tokenizer.dtype
    assert from_symbols(symbols, tokenizer, separator) == data


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_give_any_bytes_back(kind):
    tokenizer = generator(kind).tokenizer
    for data in (ENGLISH.encode(), b"\xff\xfe no text \x80", "né”▁﷐\r\n".encode(), b""):
        assert from_symbols(to_symbols(data, tokenizer, None), tokenizer, None) == data


def test_windows_lines_cost_nothing_more():
    tokenizer = CharTokenizer("\nab")
    plain, windows = b"ab\nba\n" * 50, b"ab\r\nba\r\n" * 50
    assert (
        to_symbols(windows, tokenizer, None).tokens == to_symbols(plain, tokenizer, None).tokens
    ).all()
    assert len(to_symbols(windows, tokenizer, None).note) == 3


# Packing ------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=80) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=40, deadline=None)
def test_any_bytes_come_back(starter, data):
    assert starter.decompress(starter.compress(data)) == data


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
@pytest.mark.parametrize("split_on", [None, "line", "blank-line"])
def test_every_tokenizer_packs(monkeypatch, kind, split_on):
    monkeypatch.setattr(packing, "LANE_TOKENS", 100)  # several lanes, of different lengths
    monkeypatch.setattr(packing, "BLOCK", 500)  # and several blocks
    writer = generator(kind, split_on)
    data = ("Né, a text.\n\n" + ENGLISH).encode()
    assert writer.decompress(writer.compress(data)) == data


def test_the_size_is_what_the_model_says(starter):
    text = (portable.ROOT / "docs" / "writing.md").read_text()
    known = set(starter.tokenizer.characters)
    text = "".join(character for character in text if character in known)
    packed = starter.compress(text.encode())
    expected = starter.score(text).bits_per_character * len(text) / 8
    assert expected < len(packed) < 1.005 * expected + 60
    assert len(packed) < len(lzma.compress(text.encode(), preset=9))


def test_what_the_model_does_not_expect_is_packed_by_xz(starter):
    noise = np.random.default_rng(0).bytes(5000)
    assert len(starter.compress(noise)) < 5150
    zeros = bytes(100_000)
    assert len(starter.compress(zeros)) < 250
    assert starter.decompress(starter.compress(zeros)) == zeros


def test_progress_goes_from_nothing_to_all(starter):
    seen = []
    text = (portable.ROOT / "docs" / "writing.md").read_bytes()
    packed = starter.compress(text, seen.append)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert seen[-1].done == seen[-1].total == seen[-1].characters == len(text.decode())
    assert seen[-1].bits / 8 == pytest.approx(len(packed), abs=200)  # and a note of a few characters
    assert seen[-1].bits_per_character < seen[-1].xz_bits_per_character


def test_damage_anywhere_is_one_sentence(starter):
    packed = starter.compress(ENGLISH.encode())
    for place in (*range(0, len(packed), 7), len(packed) - 1):
        for broken in (
            packed[:place],
            packed[:place] + bytes([packed[place] ^ 4]) + packed[place + 1 :],
        ):
            with pytest.raises(ChargenError, match=r"damaged or was cut|not a file that chargen"):
                starter.decompress(broken)


def test_a_forged_file_is_one_sentence(starter):
    """The sum is right here, as it would be in a file that was made to do harm."""
    packed = starter.compress(ENGLISH.encode())
    rng = np.random.default_rng(0)
    for _ in range(60):
        forged = bytearray(packed[:-4])
        for place in rng.integers(len(packing.MAGIC) + 16, len(forged), 3):
            forged[place] = rng.integers(256)
        with pytest.raises(ChargenError):
            starter.decompress(packing._with_crc(bytes(forged)))


def test_another_model_is_one_sentence(starter):
    packed = generator().compress(b"the text")
    with pytest.raises(ChargenError, match="packed with another model"):
        starter.decompress(packed)


def test_arguments_are_bytes(starter):
    with pytest.raises(ChargenError, match=r"must be bytes, got 'text'.*data.encode\(\)"):
        starter.compress("text")


def test_a_file_is_unpacked_by_other_threads_and_without_torch(starter, tmp_path):
    packed = starter.compress(ENGLISH.encode())
    (tmp_path / "packed").write_bytes(packed)
    code = (
        "import sys, chargen; packed = open('packed', 'rb').read();"
        "data = chargen.TextGenerator.load().decompress(packed);"
        "assert 'torch' not in sys.modules; sys.stdout.buffer.write(data)"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(portable.ROOT)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, stdout=-1, check=True)
    assert result.stdout == ENGLISH.encode()
