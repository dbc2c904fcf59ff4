"""The generator as a user holds it."""

import copy
import inspect
import io
import math
import re
import typing

import pytest
import torch

import chargen
from chargen import ChargenError, LanguageModel, Prefix, Sampler, TextGenerator


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
        if name not in ("self", "prompt", "num")
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
    for _ in writer.train(verse, steps=400):
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
    with pytest.raises(ChargenError, match="seed must be a whole number from 0, got -1"):
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


# The weights that write are those of the model ----------------------------------------------------


def _descend(model):
    """Takes a step of plain torch that changes every weight."""
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    logits, _ = model(torch.arange(8)[:, None])
    logits.logsumexp(-1).sum().backward()
    optimizer.step()


def _of_another_seed(model):
    return LanguageModel.new(model.config, 99).state_dict()


def _replace_data(model):
    for weight, other in zip(model.parameters(), _of_another_seed(model).values(), strict=True):
        weight.data = other


def _copy_to_data(model):  # torch does not count a change of `data`
    for weight, other in zip(model.parameters(), _of_another_seed(model).values(), strict=True):
        weight.data.copy_(other)


def _change_one(model):
    with torch.no_grad():
        model.head.bias[3] += 50


CHANGES = {
    "an optimizer": _descend,
    "load_state_dict": lambda model: model.load_state_dict(_of_another_seed(model)),
    "new data": _replace_data,
    "values of data": _copy_to_data,
    "one number": _change_one,
    "scaled logits": lambda model: model.scale_logits(0.01),
}


@pytest.mark.parametrize("weights", ["fp32", "int8"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_n4_whatever_changes_the_weights_is_in_the_next_text(verse, change, weights):
    writer = TextGenerator.new(verse, hidden_size=16)

    def write(writer):
        return writer.read("the", weights).generate(200, seed=1), writer.generate("the", seed=1)

    before = write(writer)
    assert write(writer) == before
    change(writer.model)
    after = write(writer)
    assert after == write(TextGenerator(writer.model, writer.tokenizer))
    assert all(new != old for new, old in zip(after, before, strict=True))


def test_n4_another_model_in_its_place_writes(verse):
    writer = TextGenerator.new(verse, hidden_size=16)
    before = writer.generate(seed=1)
    writer.model = TextGenerator.new(verse, hidden_size=24, cell="gru").model
    assert writer.generate(seed=1) != before
    assert writer.read("a").generate(seed=1) == TextGenerator(writer.model, writer.tokenizer).read(
        "a"
    ).generate(seed=1)


def test_n4_a_prefix_keeps_the_weights_that_it_was_read_with(verse):
    writer = TextGenerator.new(verse, hidden_size=16)
    prefix = writer.read("the")
    before = prefix.generate(50, seed=1)
    writer.model.load_state_dict(_of_another_seed(writer.model))
    assert prefix.generate(50, seed=1) == before
    assert writer.read("the").generate(50, seed=1) != before


def test_n4_weights_that_have_not_changed_are_laid_out_once(poet, monkeypatch):
    poet.generate("the", length=1)
    monkeypatch.setattr("chargen.generation.decoder.Decoder", None)
    poet.generate("a bird", length=1)


# Stop texts ---------------------------------------------------------------------------------------


def test_n5_a_string_is_one_stop_text(poet):
    prefix = poet.read("the sea")
    written = {
        form: prefix.generate(200, seed=3, stop=stop)
        for form, stop in {"string": "now", "list": ["now"], "letters": list("now")}.items()
    }
    assert written["string"] == written["list"] != written["letters"]
    assert poet.generate("the sea", seed=3, stop="now") == "the sea" + written["list"]
    assert list(poet.stream("the sea", 50, seed=3, stop="now")) == list(
        poet.stream("the sea", 50, seed=3, stop=("now",))
    )


# Training -----------------------------------------------------------------------------------------


def test_n11_fit_trains_to_the_end_and_returns_the_generator(verse, capsys):
    by_loop = TextGenerator.new(verse, hidden_size=16)
    for _ in by_loop.train(verse, steps=20):
        pass
    writer = TextGenerator.new(verse, hidden_size=16)
    assert writer.fit(verse, steps=20) is writer
    assert writer.record.training == by_loop.record.training
    assert writer.generate(seed=1) == by_loop.generate(seed=1)
    assert capsys.readouterr() == ("", "")  # where stderr is no terminal, nothing is shown


def test_n11_in_a_terminal_fit_shows_a_bar(verse, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    TextGenerator.new(verse, hidden_size=16).fit(verse, steps=5)
    last = terminal.getvalue().split("\r")[-1]
    assert "100%" in last
    assert re.search(r"loss \d\.\d+ nats, validation \d\.\d+ bits/character", last)


def test_n11_fit_takes_what_train_takes():
    def parameters(method):
        return {
            name: parameter.default
            for name, parameter in inspect.signature(method).parameters.items()
            if name not in ("progress", "ranks")  # of `Run` and of several processes
        }

    assert parameters(TextGenerator.fit) == parameters(TextGenerator.train)


def test_n11_a_training_without_a_loop_changes_nothing(verse):
    writer = TextGenerator.new(verse, hidden_size=16)
    record = copy.deepcopy(writer.record)
    weights = copy.deepcopy(writer.model.state_dict())
    writer.train(verse, steps=5)
    assert writer.record == record
    assert all(torch.equal(weights[name], new) for name, new in writer.model.state_dict().items())


@pytest.mark.parametrize("generations", [1, 2])
def test_n12_every_loss_is_a_number_and_the_last_one_that_of_the_last_batch(verse, generations):
    writer = TextGenerator.new(verse, hidden_size=16)
    steps = list(writer.train(verse, steps=20, generations=generations))
    assert all(math.isfinite(step.loss) and math.isfinite(step.mean_loss) for step in steps)
    assert steps[-1].finished
    assert steps[-1].loss == steps[-2].loss
