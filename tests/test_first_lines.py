"""The first lines that a learner types: each works, or its error names what to write."""

import copy
import inspect
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import chargen
from chargen import ChargenError, Copies, Labelled, Text, TextClassifier, TextGenerator


class Column:
    """A column of a table as pandas has it: a sequence that is no list."""

    def __init__(self, values):
        self._values = np.array(values, object)

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)


@pytest.fixture(scope="module")
def names(verse, moods, tmp_path_factory):
    """What the lines below may use."""
    folder = tmp_path_factory.mktemp("first-lines")
    (folder / "poems.txt").write_text(verse)
    (folder / "moods.csv").write_text("text,label\n" + "the sea,calm\na bird,glad\n" * 20)
    (folder / "poems").mkdir()
    (folder / "poems" / "one.txt").write_text(verse)
    writer = TextGenerator.new(verse, hidden_size=8).fit(verse, steps=2)
    reader = TextClassifier.new(moods, hidden_size=8).fit(moods, steps=2)
    (*_, step) = writer.train(verse, steps=2)
    with (folder / "poems.txt").open() as file:
        yield {
            **{
                "file": file,
                "chargen": chargen,
                "np": np,
                "torch": torch,
                "Path": Path,
                "Column": Column,
                "io": io,
            },
            **{name: getattr(chargen, name) for name in chargen.__all__},
            **{"text": verse, "writer": writer, "reader": reader, "data": moods, "step": step},
            **{"prefix": writer.read("the"), "copies": Copies.of(verse), "folder": folder},
            **{"path": folder / "poems.txt", "table": folder / "moods.csv"},
        }


WORKS = """
TextGenerator.new(path)
TextGenerator.new(path).fit(path, steps=1).generate("the", 10)
TextGenerator.new(text.encode())
TextGenerator.new(Text.open(path))
TextGenerator.new(Text.open([path]))
TextGenerator.new(Text.open(str(path)))
TextGenerator.new(Text.from_string(str(path)))
TextGenerator.new(folder / "poems")
TextGenerator.new(text, hidden_size=np.int64(8), num_layers=1.0, dropout=np.float32(0.1))
TextGenerator.load()
next(writer.train(text, steps=np.int64(3)))
next(writer.train(path, steps=1))
next(writer.train(text, epochs=np.float32(0.1), batch=np.int64(2), learning_rate=np.float64(1e-3)))
writer.prepare(path)
writer.score(path)
writer.score(text, window=np.int64(64))
writer.generate("the", 10)
writer.generate("the", np.int64(10), temperature=np.float32(0.5), top_k=np.int64(3), seed=np.int64(1))
writer.generate("the", length=10.0, top_p=1, min_p=0)
writer.generate("the", 10, stop="s")
writer.generate("the", 10, stop=None)
writer.generate("the", 10, stop={"s", "b"})
writer.generate_many("the", 3)
writer.generate_many("the", 3, 10)
writer.generate_many("the", num=np.int64(3), length=10)
list(writer.stream("the", 10))
writer.read("")
writer.surprise(path).worst(np.int64(3))
writer.surprise(text.encode())
writer.model(torch.zeros(5, 1, dtype=torch.long))
prefix.generate(10)
prefix.generate_many(3)
prefix.read("").expected()
prefix.clamped(Clamp(np.int64(1), np.int64(0), np.float32(1)))
prefix.expected(Sampler(np.float64(0.5)))
Copies.of(path)
copies.report(text, np.int64(30))
copies.limit(np.int64(30))
Labelled(["a", "b"], ["x", "y"])
Labelled(texts=np.array(["a", "b"]), labels=np.array([0, 1]))
Labelled(texts=Column(["a", "b"]), labels=Column(["x", "y"]))
Labelled(("a", "b"), torch.tensor([0, 1]))
Labelled.open(table)
Labelled.open(str(table), text="text", label="label")
Labelled.open(table, text=1, label=2)
data[0]
data[-1]
data[:3]
data.split()
dict(data)
TextClassifier.new(data, hidden_size=np.int64(8))
TextClassifier.new(data, hidden_size=8).fit(data, steps=1).predict("the sea")
list(reader.predict_many("the sea"))
list(reader.predict_many(np.array(["the sea", "a bird"]), batch=np.int64(1)))
TrainConfig(minutes=np.float64(1), batch=np.int64(4))
""".strip().splitlines()


@pytest.mark.parametrize("line", WORKS)
def test_a_first_line_works(names, line):
    eval(line, dict(names))


# Each line with the words that its error must have: what to write instead.
ANSWERED = [
    # The module.
    ("chargen.load(folder)", "chargen.TextGenerator.load(folder)"),
    ("chargen.train(text)", "chargen.TextGenerator.new(text).fit(text"),
    ("chargen.generate('the')", "chargen.TextGenerator.load(folder).generate"),
    ("chargen.TextGenerater", "TextGenerator"),
    ("chargen.textgenerator", "TextGenerator"),
    # Making generators and classifiers.
    ("TextGenerator(text)", "TextGenerator.new(text)"),
    ("TextGenerator()", "TextGenerator.load(folder)"),
    ("TextGenerator(text, 'char')", "TextGenerator.new(text)"),
    ("TextGenerator('checkpoints/poems')", "TextGenerator.load(folder)"),
    ("TextGenerator.new(text, 64)", "hidden_size=…"),
    ("TextGenerator.new(text, hidden=64)", "write hidden_size=…"),
    ("TextGenerator.new(text, layers=2)", "write num_layers=…"),
    ("TextGenerator.new(text, hiden_size=64)", "write hidden_size=…"),
    ("TextGenerator.new(text, minutes=3)", "it belongs to fit() and train()"),
    ("TextGenerator.new(text, cell='transformer')", "choose one of lstm, gru, rnn"),
    ("TextGenerator.new(text, tokenizer='words')", "choose one of char, byte, bpe, unigram"),
    ("TextGenerator.new(text, hidden_size=-1)", "hidden_size must be a whole number from 1"),
    ("TextGenerator.new(text, hidden_size=2.5)", "got 2.5"),
    ("TextGenerator.new(text, hidden_size='64')", "got '64'"),
    ("TextGenerator.new(text, dropout=1)", "dropout must be 0 or more and below 1"),
    ("TextGenerator.new(text, seed=-1)", "seed must be a whole number from 0"),
    ("TextGenerator.new(text, vocab_size=-1, tokenizer='bpe')", "vocab_size must be a whole number"),
    ("TextGenerator.new(text, split_on=3)", "split_on must be a string"),
    ("TextGenerator.new(text, split_on='')", "split_on"),
    ("TextGenerator.new(str(path))", "poems.txt') to read it, or Text.from_string("),
    ("TextGenerator.new(str(folder / 'poems'))", "is a folder"),
    ("TextGenerator.new('nowhere.txt')", "there is no such file"),
    ("TextGenerator.new(Path('nowhere.txt'))", "there is no file or folder 'nowhere.txt'"),
    ("TextGenerator.new(file)", "give its path: Path("),
    ("TextGenerator.new(io.StringIO(text))", "give its path"),
    ("TextGenerator.new(['one', 'two'])", "join"),
    ("TextGenerator.new(None)", "got None"),
    ("TextGenerator.new(b'\\xff\\xfe\\x00')", "UTF-16"),
    ("TextGenerator.new(b'caf\\xe9')", "is not utf-8"),
    ("TextGenerator.new(data)", "give a string, a Path"),
    ("TextGenerator.load('nowhere')", "nowhere"),
    ("TextClassifier(data)", "TextClassifier.new(data)"),
    ("TextClassifier()", "TextClassifier.load(folder)"),
    ("TextClassifier.new(str(table))", "give Labelled.open("),
    ("TextClassifier.new(table)", "give Labelled.open("),
    ("TextClassifier.new(['a'], ['x'])", "takes only data without a name"),
    ("TextClassifier.new([('a', 'x')])", "give Labelled(texts, labels)"),
    ("TextClassifier.from_generator('starter', data)", "TextGenerator.load(folder)"),
    ("Labelled()", "Labelled(texts, labels)"),
    ("Labelled(['a'], ['x', 'y'])", "give one label for each text"),
    ("Labelled([1, 2], ['x', 'y'])", "texts[0] must be a string, got 1"),
    ("Labelled(['a', float('nan')], ['x', 'y'])", "texts[1] must be a string, got nan"),
    ("Labelled(['a', 'b'], ['x', None])", "labels[1] must be a string or a number, got None"),
    ("Labelled(['a', 'b'], [0.0, float('nan')])", "labels[1] must be"),
    ("Labelled.open('nowhere.csv')", "there is no file or folder 'nowhere.csv'"),
    ("Text.open([])", "sources is empty"),
    ("Text.open(5)", "sources must be paths, got 5"),
    # Training.
    ("writer.train(str(path))", "to read it"),
    ("writer.fit(str(path), steps=1)", "to read it"),
    ("writer.fit([text, text], steps=1)", "split_on"),
    ("writer.fit(text, minutes=3, epochs=2)", "give one budget: minutes, epochs or steps"),
    ("writer.fit(text, minutes=-1)", "minutes must be above 0"),
    ("writer.fit(text, minutes='3')", "got '3'"),
    ("writer.fit(text, 3)", "name the others"),
    ("writer.train(text, steps=1.5)", "steps must be a whole number from 1, got 1.5"),
    ("writer.train(text, steps=1, batch=0)", "batch must be a whole number from 1"),
    ("writer.train(text, steps=1, window=0)", "window must be a whole number from 1"),
    ("writer.train(text, steps=1, val_fraction=1)", "below 1"),
    ("writer.train(text, steps=1, val_fraction='0.1')", "got '0.1'"),
    ("writer.train(text, lr=0.1)", "write learning_rate=…"),
    ("writer.train(text, batch_size=4)", "write batch=…"),
    ("writer.train(text, hidden_size=8)", "it belongs to new()"),
    ("writer.train('short', steps=1)", "give a longer text"),
    ("step.val_loss", "step.score.validation_loss"),
    ("step.epoch", "step.progress"),
    ("step.accuracy", "step.score.accuracy"),
    ("reader.fit(['a'], ['x'])", "data must be Labelled"),
    ("reader.fit(data, ['x'])", "validation must be Labelled"),
    ("reader.train(data, steps=1, batch=0)", "batch must be a whole number from 1"),
    ("reader.train(data, steps=1, val_fraction=2)", "below 1"),
    ("reader.train(data, steps=1, stack_share=-1)", "stack_share must be above 0"),
    ("TrainConfig(lr=1)", "write learning_rate=…"),
    ("Run(folder / 'run').begin(writer, text, TrainConfig(steps=1))", "give writer.prepare(text)"),
    ("Run(folder / 'run').begin(writer, writer.prepare(text), 3)", "give TrainConfig(minutes=3)"),
    # Writing.
    ("writer.generate(100)", "length=100"),
    ("writer.generate(prompt='the', n=100)", "write length=…"),
    ("writer.generate('the', max_tokens=100)", "write length=…"),
    ("writer.generate('the', 100, 0.5)", "temperature=…"),
    ("writer.generate('the', temp=1)", "write temperature=…"),
    ("writer.generate('the', length=-1)", "length must be a whole number from 0, got -1"),
    ("writer.generate('the', length=1.5)", "got 1.5"),
    ("writer.generate('the', length='10')", "got '10'"),
    ("writer.generate('the', length=None)", "got None"),
    ("writer.generate('the', temperature=-1)", "temperature must be 0 or more"),
    ("writer.generate('the', temperature='hot')", "got 'hot'"),
    ("writer.generate('the', top_k=0)", "top-k must be a whole number from 1"),
    ("writer.generate('the', top_k=2.5)", "got 2.5"),
    ("writer.generate('the', top_p=0)", "top-p must be above 0 and at most 1"),
    ("writer.generate('the', min_p=2)", "min-p must be 0 or more and at most 1"),
    ("writer.generate('the', seed=1.5)", "seed must be a whole number"),
    ("writer.generate('the', stop=5)", "give a list of strings"),
    ("writer.generate('the', stop=[5])", "stop[0] must be a string, got 5"),
    ("writer.generate(b'the')", "decode"),
    ("writer.generate(path)", "read_text()"),
    ("writer.generate(None)", "got None"),
    ("writer.generate(['a', 'b'])", "must be a string"),
    ("writer.generate_many(3)", "length=3"),
    ("writer.generate_many('the', 0)", "num must be a whole number from 1"),
    ("writer.generate_many('the', num_samples=3)", "write num=…"),
    ("writer.stream('the', length=-1)", "length must be"),
    ("writer.sample('the')", "writer.generate("),
    ("writer.predict('the')", "writer.read("),
    ("writer.evaluate(text)", "writer.score(text)"),
    ("writer.perplexity(text)", "writer.score(text).perplexity"),
    ("writer.score(str(path))", "to read it"),
    ("writer.score('')", "cannot be scored"),
    ("writer.score(text).loss", "write score.nats_per_token"),
    ("writer.score(text).bits_per_charcter", "write bits_per_character"),
    ("reader.evaluate(data).f1", "write score.macro_f1"),
    ("writer.modle", "write model"),
    ("writer.vocab_size", "writer.model.config.vocab_size"),
    ("writer.parameters()", "writer.model.parameters()"),
    ("writer.score(text, window=0)", "window must be a whole number from 1"),
    ("writer.read(5)", "must be a string, got 5"),
    ("writer.read('the', weights='int4')", "fp32 or int8"),
    ("writer.model([1, 2])", "torch.tensor(writer.tokenizer.encode("),
    ("writer.model(np.zeros((5, 1)))", "torch.tensor(writer.tokenizer.encode("),
    ("writer.model(torch.zeros(5, dtype=torch.long))", "time × batch"),
    ("writer.model(torch.zeros(5, 1))", "torch.int64"),
    # A prefix.
    ("prefix.state", "writer.states(prefix.text)"),
    ("prefix.expected(0.5)", "give Sampler(temperature=0.5)"),
    ("prefix.expected(temperature=0.5)", "write sampler=Sampler(temperature=0.5)"),
    ("writer.read('the', device='gpu')", "choose one of auto, cpu, cuda, mps"),
    ("Decoder(writer)", "give writer.model"),
    ("list(reader.predict_many(5))", "give a list of strings"),
    ("prefix.clamped(Clamp(1, 0, 'x'))", "must be finite, got 'x'"),
    ("prefix.generate('the')", "length must be a whole number from 0, got 'the'"),
    ("prefix.generate(length=-1)", "length must be"),
    ("prefix.read(5)", "must be a string"),
    ("prefix.clamped((1, 0, 2.0))", "give Clamp(layer=1, component=0, value=1.0)"),
    ("prefix.clamped([Clamp(1, 0, 2.0)])", "give Clamp("),
    ("prefix.clamped(Clamp(1, 0, float('nan')))", "finite"),
    ("prefix.clamped(Clamp(9, 0, 1.0))", "no layer 9"),
    ("prefix.limited(30)", "Copies.of(corpus).limit(30)"),
    ("prefix.logits", "expected"),
    ("Prefix('the')", "TextGenerator.read(text)"),
    # Looking inside.
    ("writer.states('')", "the text is empty"),
    ("writer.surprise('')", "the text is empty"),
    ("writer.surprise(5)", "got 5"),
    ("writer.surprise(text).worst(-1)", "count must be a whole number from 0, got -1"),
    ("writer.components('short')", "too few"),
    ("writer.gradients(text, farthest=-1)", "farthest must be a whole number from 1"),
    ("writer.gradients(text, seed=-1)", "seed must be a whole number from 0"),
    ("Copies(text)", "Copies.of(text)"),
    ("Copies.of(str(path))", "to read it"),
    ("Copies.of([text, text])", "join"),
    ("copies.report(text, 0)", "least must be a whole number from 1"),
    ("copies.report(5)", "must be a string"),
    ("copies.limit(-1)", "most must be a whole number from 1"),
    ("copies.find(5)", "must be a string"),
    ("copies.share", "copies.report(text).share"),
    # Classifying.
    ("reader.predict(['the sea', 'a bird'])", "list(reader.predict_many(texts))"),
    ("reader.predict(5)", "must be a string, got 5"),
    ("reader.predict(b'the sea')", "decode"),
    ("list(reader.predict_many([5]))", "must be a string, got 5"),
    ("list(reader.predict_many(['the'], batch=0))", "batch must be a whole number from 1"),
    ("reader.explain(['the'])", "must be a string"),
    ("reader.score(data)", "reader.evaluate(data)"),
    ("reader.classify('the')", "reader.predict("),
    ("reader.evaluate(['the'])", "give Labelled(texts, labels)"),
    ("data.split(2, seed=0)", "below 1"),
    ("data.split(0.1, seed=-1)", "seed must be a whole number from 0"),
    ("data.head()", "data[:5]"),
    ("data['text']", "data.texts"),
    ("Text('hello')", "Text.from_string(text)"),
    ("Corpus(text)", "writer.prepare(text)"),
]


@pytest.mark.parametrize(("line", "advice"), ANSWERED)
def test_a_first_line_is_answered_with_what_to_write(names, line, advice, monkeypatch):
    monkeypatch.chdir(names["folder"])
    with pytest.raises((ChargenError, TypeError, AttributeError)) as error:
        eval(line, dict(names))
    assert advice in str(error.value)
    assert len(str(error.value)) < 400


# What the last line of a notebook's cell shows ----------------------------------------------------


def test_n15_objects_say_in_one_line_what_they_are(names, tmp_path):
    writer, reader, text, data = (names[name] for name in ("writer", "reader", "text", "data"))
    shown = {
        "writer": writer,
        "reader": reader,
        "new": TextGenerator.new(text),
        "bytes": TextGenerator.new(text, tokenizer="byte"),
        "corpus": writer.prepare(text),
        "text": Text.open(names["path"]),
        "prefix": writer.read(text),
        "copies": names["copies"],
        "limit": names["copies"].limit(30),
        "report": names["copies"].report(text),
        "surprise": writer.surprise(text),
        "gradients": writer.gradients(text),
        "data": data,
        "score": reader.evaluate(data),
        "run": chargen.Run(tmp_path / "run"),
        "step": names["step"],
        "decoder": chargen.Decoder(writer.model),
        "tokenizer": writer.tokenizer,
    }
    for name, thing in shown.items():
        line = repr(thing)
        assert "\n" not in line, name
        assert len(line) < 400, name
        assert " at 0x" not in line, name
        assert "array(" not in line, name
    assert (
        repr(shown["new"])
        == "TextGenerator(lstm 2 × 256, 0.86 M parameters, 18 characters, untrained)"
    )
    assert repr(writer).startswith(
        "TextGenerator(lstm 2 × 8, 0.00 M parameters, 18 characters, trained on"
    )
    assert repr(writer).endswith(" bits per character)")
    assert repr(reader).endswith("% accuracy)")
    assert repr(data) == "Labelled('moods', 240 texts, 2 classes)"
    assert repr(shown["run"]).endswith("run', 0 saved states)")


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("weights", ["fp32", "int8"])
def test_n15_a_prefix_survives_a_pickle_and_a_copy(verse, cell, weights):
    writer = TextGenerator.new(verse, cell=cell, hidden_size=16)
    prefix = writer.read("the sea", weights=weights)
    for again in (pickle.loads(pickle.dumps(prefix)), copy.deepcopy(prefix), copy.copy(prefix)):
        assert again.generate(60, seed=1) == prefix.generate(60, seed=1)
        assert again.read(" si").expected() == prefix.read(" si").expected()
        assert again.generate_many(3, 30, seed=1) == prefix.generate_many(3, 30, seed=1)


def test_n15_what_restricts_a_prefix_survives_a_pickle(names):
    prefix = names["prefix"].clamped(chargen.Clamp(1, 0, 1.0)).limited(names["copies"].limit(5))
    again = pickle.loads(pickle.dumps(prefix))
    assert again.generate(60, seed=1) == prefix.generate(60, seed=1)


@pytest.mark.parametrize("name", ["writer", "reader", "data", "copies", "step"])
def test_n15_what_a_user_holds_survives_a_pickle(names, name):
    names["writer"].generate("the", 5)  # which makes a decoder
    for again in (pickle.loads(pickle.dumps(names[name])), copy.deepcopy(names[name])):
        assert repr(again) == repr(names[name])


def test_n15_help_shows_each_parameter():
    for kind in (TextGenerator, TextClassifier, chargen.Prefix, Copies, Labelled, chargen.Run, Text):
        for name in dir(kind):
            if not name.startswith("_") and callable(method := getattr(kind, name)):
                parameters = inspect.signature(method).parameters.values()
                assert all(p.kind is not p.VAR_KEYWORD for p in parameters), f"{kind.__name__}.{name}"
                assert method.__doc__, f"{kind.__name__}.{name}"
