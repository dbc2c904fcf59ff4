"""Every copied passage is found, with its place; and a limit holds."""

import json
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen import ChargenError, Copies, Text, TextGenerator
from chargen.data.corpus import SMALLEST


def brute_force(text, corpus, least):
    """All maximal passages, by trying everything: (start, length, first place, occurrences)."""
    found, end = [], 0
    for start in range(len(text)):
        length = 0
        while start + length < len(text) and text[start : start + length + 1] in corpus:
            length += 1
        if length >= least and start + length > end:
            passage = text[start : start + length]
            places = [m.start() for m in re.finditer(f"(?={re.escape(passage)})", corpus, re.S)]
            found.append((start, length, places[0], len(places)))
        end = max(end, start + length)
    return found


def passages(report):
    return [(p.start, p.length, p.position, p.occurrences) for p in report.passages]


@pytest.mark.slow
@given(
    st.text("ab\n", min_size=1, max_size=60),
    st.text("abc\n", max_size=60),
    st.integers(1, 6),
)
@settings(max_examples=150, deadline=None)
def test_all_passages_are_those_that_trying_everything_finds(corpus, text, least):
    assert passages(Copies.of(corpus).report(text, least)) == brute_force(text, corpus, least)


@pytest.fixture(scope="module")
def prose():
    rng = random.Random(1)
    words = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(900)
    ]
    return "".join(rng.choice(words) + rng.choice([" ", " ", " ", ", ", ".\n"]) for _ in range(9000))


def test_known_pieces_between_new_text_are_found_at_their_place(prose):
    rng = random.Random(2)
    text, known = "", []
    for _ in range(40):
        size = rng.randint(25, 400)
        place = rng.randrange(len(prose) - size)
        text += "".join(rng.choices("ABCXYZ", k=rng.randint(1, 50)))  # which the corpus does not have
        known.append((len(text), size, place))
        text += prose[place : place + size]
    report = Copies.of(prose).report(text, 25)
    assert [(p.start, p.length) for p in report.passages] == [(s, n) for s, n, _ in known]
    for passage, (_, _, place) in zip(report.passages, known, strict=True):
        assert passage.position == place or passage.occurrences > 1
        assert passage.line == 1 + prose.count("\n", 0, passage.position)
    assert report.copied == sum(size for _, size, _ in known)
    assert report.share == pytest.approx(report.copied / len(text))
    assert report.longest[0].length == max(size for _, size, _ in known)


def test_passages_that_overlap_are_counted_once(prose):
    text = prose[1000:1100] + prose[5000:5100]
    report = Copies.of(prose).report(text, 40)
    assert report.copied == 200
    assert report.passages[0].position == 1000
    assert report.passages[-1].start + report.passages[-1].length == 200


def test_a_corpus_that_is_copied_whole_is_one_passage(prose):
    report = Copies.of(prose).report(prose)
    assert passages(report) == [(0, len(prose), 0, 1)]
    assert report.share == 1
    periodic = "ab" * 5000
    assert passages(Copies.of(periodic).report(periodic[:9000])) == [(0, 9000, 0, 501)]


def test_large_alphabets_and_characters_beyond_them():
    rng = np.random.default_rng(0)
    corpus = "".join(map(chr, rng.integers(0x4E00, 0x4E00 + 2000, 6000)))
    text = "né" + corpus[100:150] + "😀" + corpus[5950:] + "x"
    report = Copies.of(corpus).report(text, 20)
    assert passages(report) == [(2, 50, 100, 1), (53, 50, 5950, 1)]
    limit = Copies.of(corpus).limit(10)
    state = limit.start(corpus[:10])
    assert limit.step(state, corpus[10]) is None
    assert limit.step(state, "é") is not None


def test_new_words_are_those_that_stand_nowhere_as_words():
    corpus = "The cats don't sleep. NASA isn't here; cat-like.\nThe end"
    report = Copies.of(corpus).report("the cat sleeps and nasa doesn't END here, here, ca", 50)
    assert report.new_words == {"sleeps": 1, "and": 1, "doesn't": 1, "ca": 1}
    assert report.words == 10


def test_the_index_is_made_once_and_outlives_the_corpus(tmp_path, prose):
    path = tmp_path / "corpus.txt"
    prose = prose[7:]  # which no other test has indexed
    path.write_text(prose)
    text = Text.open([str(path)])
    assert Copies.cached(text.sha256) is None
    first = Copies.of(text)
    assert len(first) == len(prose)
    path.unlink()
    again = Copies.cached(text.sha256)
    assert again is not None
    assert again.find(prose[50:99]) == first.find(prose[50:99]) == (1, 50)
    assert again.find("QQQ") == (0, -1)
    assert again.find("") == (0, -1)


@pytest.fixture(scope="module")
def parrot():
    """A generator that knows a short text by heart."""
    rng = random.Random(3)
    words = ["sun", "moon", "star", "rain", "wind", "snow", "tree", "leaf", "bird", "song", "river"]
    text = "".join(rng.choice(words) + rng.choice([" ", "\n"]) for _ in range(250))
    writer = TextGenerator.new(text, hidden_size=64)
    for _ in writer.train(text, steps=500, batch=4, window=32, val_fraction=0, learning_rate=1e-2):
        pass
    return writer, text


@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_a_limit_holds_and_what_is_written_is_still_of_known_words(parrot, temperature):
    writer, text = parrot
    copies = Copies.of(text)
    mark = writer.read("sun ")
    free = mark.text + mark.generate(length=600, temperature=temperature, seed=1)
    assert copies.report(free).longest[0].length > 60
    for most in (12, 30):
        held = mark.limited(copies.limit(most))
        new = held.generate(length=600, temperature=temperature, seed=1)
        report = copies.report(mark.text + new, 1)
        assert report.longest[0].length <= most
        assert report.passages[-1].start + report.passages[-1].length >= len(new)  # to its end
        known = 1 - sum(report.new_words.values()) / report.words
        assert known > (0.7 if most == 30 else 0.4), new


def test_a_limit_counts_the_prompt_and_each_of_several_streams(parrot):
    writer, text = parrot
    copies = Copies.of(text)
    mark = writer.read(text[:40]).limited(copies.limit(40))
    for new in mark.generate_many(num=3, length=200, seed=5):
        longest = max(p.length for p in copies.report(text[:40] + new, 1).passages)
        assert longest <= 40
    assert mark.read(text[40:50]).generate(length=1, seed=1) != text[50]  # the limit comes along


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_a_limit_holds_for_pieces_too(verse, kind):
    text = (verse + "né\n")[-4000:]
    writer = TextGenerator.new(text, tokenizer=kind, vocab_size=300, hidden_size=32)
    for _ in writer.train(text, steps=120, batch=4, window=32):
        pass
    copies = Copies.of(text)
    new = writer.read("a bird ").limited(copies.limit(15)).generate(length=300, seed=2)
    assert max(p.length for p in copies.report("a bird " + new, 1).passages) <= 15


def test_where_every_way_on_is_a_copy_it_says_so():
    text = "ab" * SMALLEST
    writer = TextGenerator.new(text, hidden_size=8)
    corpus = "aabbabab" * SMALLEST  # in which each letter follows each
    mark = writer.read("a").limited(Copies.of(corpus).limit(1))
    with pytest.raises(ChargenError, match="the constraints refuse every one"):
        mark.generate(length=5)
    with pytest.raises(ChargenError, match="most must be a whole number from 1, got 0"):
        Copies.of(corpus).limit(0)
    with pytest.raises(ChargenError, match="least must be a whole number from 1, got 0"):
        Copies.of(corpus).report("a", 0)


@pytest.mark.slow
def test_the_commands_find_the_corpus_of_a_model(run, verse, tmp_path):
    (tmp_path / "verse.txt").write_text(verse)
    trained = run("train", "verse.txt", "--steps", 30, "--hidden", 16, "-o", "m")
    assert trained[0] == 0
    (tmp_path / "new.txt").write_text("XX" + verse[200:260] + "XX")
    status, out, _ = run("inspect", "copies", "new.txt", "-m", "m", "--json")
    assert status == 0
    record = json.loads(out)
    assert record["passages"][0]["start"] == 2
    assert record["passages"][0]["text"] == verse[200:260]
    assert record["copied"] == record["longest"] == 60
    status, out, _ = run("inspect", "copies", "new.txt", "-m", "m")
    assert "60 characters at 2, line" in out
    assert "\x1b" in run("inspect", "copies", "new.txt", "-m", "m", "--color")[1]

    sampling = ("sample", "-m", "m", "--seed", 1, "-n", 300, "--max-copy", 12, "--report-copies")
    status, out, err = run(*sampling)
    assert status == 0
    assert "0.0% of" in err
    status, out, _ = run(*sampling, "--json", "--num", 2)
    assert [one["least"] for one in json.loads(out)["copies"]] == [30, 30]
    assert (
        max(p.length for p in Copies.of(verse).report(json.loads(out)["samples"][1], 1).passages) <= 12
    )


def test_a_corpus_that_is_gone_is_said_and_can_be_named(run, poet, verse, tmp_path):
    poet.save(tmp_path / "poet")
    poet.record.corpus.sha256 = "0" * 64
    poet.save(tmp_path / "poet")
    status, _, err = run("sample", "-m", "poet", "--max-copy", 20)
    assert status == 1
    assert "--corpus" in err
    (tmp_path / "verse.txt").write_text(verse)
    assert run("sample", "-m", "poet", "--max-copy", 20, "--corpus", "verse.txt")[0] == 0
    assert run("sample", "-m", "poet", "--corpus", "verse.txt")[0] == 2
    assert run("sample", "-m", "poet", "--max-copy", 0)[0] == 2
