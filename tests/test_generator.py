"""The generator as a user holds it."""

import inspect
import typing

import pytest
import torch

import chargen
from chargen import ChargenError, Prefix, Sampler, TextGenerator


def test_it_writes_like_its_corpus(poet, verse):
    lines = poet.generate("\n", length=300, temperature=0.3, seed=1).split("\n")[1:-1]
    known = set(verse.split("\n"))
    assert sum(line in known for line in lines) > len(lines) / 2


def test_generate_is_the_join_of_the_stream(poet):
    options = {"length": 120, "seed": 4, "stop": ["xyz"], "top_p": 0.9}
    assert "".join(poet.stream("the sea", **options)) == poet.generate("the sea", **options)


def test_the_prompt_comes_once_and_then_exactly_the_length(poet):
    text = poet.generate("the sea ", length=50, seed=0)
    assert text.startswith("the sea ")
    assert len(text) == len("the sea ") + 50
    assert poet.generate("the", length=0) == "the"


def test_the_same_seed_gives_the_same_text_and_none_a_new_one(poet):
    assert poet.generate(seed=1) == poet.generate(seed=1) != poet.generate(seed=2)
    assert poet.generate() != poet.generate()


def test_texts_written_side_by_side_begin_with_the_one_written_alone(poet):
    several = poet.generate_many("a bird", num=3, length=80, seed=9)
    assert several[0] == poet.generate("a bird", length=80, seed=9)
    assert len(set(several)) == 3


def test_seed_0_is_a_seed(poet):
    assert poet.generate(seed=0) == poet.generate(seed=0)


def test_an_unknown_character_in_a_prompt_never_silently_changes(poet):
    with pytest.warns(UserWarning, match="taken as 'a'"):
        assert poet.generate("à", length=5, seed=0).startswith("a")
    with pytest.raises(ChargenError, match="'日'"):
        poet.generate("日")


def test_a_warning_names_the_line_that_called_whichever_public_method(poet):
    calls = [
        lambda: poet.generate("é", length=1),
        lambda: poet.stream("é", length=1),
        lambda: list(poet.stream("é", length=1)),
        lambda: poet.generate_many("é", num=2, length=1),
        lambda: poet.read("é"),
        lambda: poet.surprise("é sea"),
        lambda: poet.states("é sea"),
        lambda: poet.pieces("é sea"),
        lambda: poet.components("é sea\n" * 20),
        lambda: poet.gradients("the sea sings né\n" * 20, farthest=4),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match="taken as 'e'") as warnings:
            call()
        (warning,) = warnings
        assert (warning.filename, warning.lineno) == (__file__, call.__code__.co_firstlineno)


WRITING = ["stream", "generate", "generate_many"]


@pytest.mark.parametrize("method", WRITING)
@pytest.mark.parametrize("holder", [TextGenerator, Prefix])
def test_the_keywords_of_writing_are_explicit_and_the_same_everywhere(holder, method):
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(getattr(holder, method)).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "num"
    }
    assert keywords == {
        "length": 500,
        "temperature": Sampler().temperature,
        "top_k": None,
        "top_p": None,
        "min_p": None,
        "seed": None,
        "stop": (),
    }


def test_what_read_returns_can_be_annotated(poet):
    assert typing.get_type_hints(poet.read)["return"] is chargen.Prefix
    assert isinstance(poet.read("a"), chargen.Prefix)


def test_newlines_of_a_prompt_follow_the_rule_of_the_corpus(poet):
    assert poet.generate("now\r\n", length=3, seed=0).startswith("now\n")


def test_stop_texts_end_a_text_and_are_left_out(poet):
    assert "\n" not in poet.generate("the", seed=0, stop=["\n"]).removeprefix("the")


@pytest.mark.slow
def test_a_generator_of_documents_ends_where_a_document_ends(verse):
    writer = TextGenerator.new(verse, split_on="line", hidden_size=32)
    for _ in writer.train(verse, steps=150):
        pass
    texts = writer.generate_many(num=20, temperature=0.3, seed=0)
    known = set(verse.split("\n"))
    assert sum(text in known for text in texts) > 10


@pytest.mark.parametrize("num", [1, 3])
def test_even_an_untrained_model_of_bytes_writes_valid_utf8(num):
    text = "日本語のテキスト👩‍👩‍👧 é\n" * 30
    writer = TextGenerator.new(text, tokenizer="byte", hidden_size=8)
    for written in writer.generate_many(num=num, length=200, temperature=1.5, seed=1):
        assert len(written) == 200
        assert "\ufffd" not in written


def test_a_short_text_is_trained_with_fewer_lanes_and_a_shorter_window(verse):
    writer = TextGenerator.new(verse[:500], hidden_size=8)
    for _ in writer.train(verse[:500], steps=2):
        pass
    training = writer.record.training
    assert training["batch"] * training["window"] < 100


def test_training_on_forgets_the_old_weights_in_writing(verse):
    writer = TextGenerator.new(verse, hidden_size=16)
    before = writer.generate(seed=1)
    for _ in writer.train(verse, steps=20):
        pass
    assert writer.generate(seed=1) != before


def test_a_negative_seed_is_an_error(poet):
    with pytest.raises(ChargenError, match="seed must be 0 or more, got -1"):
        poet.generate(seed=-1)


def test_half_precision_halves_the_file_and_keeps_the_score(poet, verse, tmp_path):
    poet.save(tmp_path / "full")
    poet.save(tmp_path / "half", half=True)
    full, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half"))
    header = 2048  # bytes at most, for the names and shapes
    assert full / 2 <= half <= full / 2 + header
    again = TextGenerator.load(tmp_path / "half")
    assert {weight.dtype for weight in again.model.parameters()} == {torch.float32}
    bits = [writer.score(verse).bits_per_character for writer in (poet, again)]
    assert bits[0] == pytest.approx(bits[1], abs=1e-3)
    assert len(again.generate("the sea", length=20, seed=1)) == len("the sea") + 20
