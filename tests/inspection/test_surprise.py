"""Surprise is what evaluation measures, character by character, and shows what was expected."""

import json
import math
import re

import pytest

from chargen import ChargenError, Text, TextGenerator


@pytest.fixture(scope="module", params=["char", "byte", "bpe", "documents"])
def writer(request, verse):
    kind = {"tokenizer": request.param} if request.param != "documents" else {"split_on": "line"}
    text = verse + "é日\n"
    writer = TextGenerator.new(text, hidden_size=16, vocab_size=320, **kind)
    for _ in writer.train(text, steps=20, batch=4, window=32):
        pass
    return writer


def test_the_mean_is_what_evaluation_says(writer, verse):
    text = "日é a bird sings\n" + verse[:9000] + "é"  # more than is read at once
    found, score = writer.surprise(text), writer.score(text)
    assert found.bits_per_character == pytest.approx(score.bits_per_character, abs=1e-9)
    characters = list(found.characters())
    assert characters[0].bits is None
    total = sum(character.bits or 0 for character in characters)
    # A first character of several bytes is partly scored by evaluation.
    slack = 30 if writer.tokenizer.kind == "byte" else 1e-6
    assert total == pytest.approx(score.nats / math.log(2), abs=slack)


def test_the_characters_are_the_text(writer):
    text = "a bird sings né日\nnow"
    parts = [character.text for character in writer.surprise(text).characters()]
    if writer.tokenizer.end_id is None:
        assert "".join(parts) == text
    else:
        assert "".join(part or "\n" for part in parts) == text + "\n"
    if writer.tokenizer.kind in ("char", "byte"):
        assert all(len(part) <= 1 for part in parts)


def test_each_character_has_the_probability_that_a_mark_expects(poet):
    text = "a bird sings"
    for place, character in list(enumerate(poet.surprise("\n" + text).characters()))[1:]:
        expected = poet.read("\n" + text[: place - 1]).expected()
        assert 2**-character.bits == pytest.approx(expected[character.text], rel=1e-3)
        likeliest = list(expected)[:5]
        assert list(character.expected) == likeliest
        assert character.expected[likeliest[0]] == pytest.approx(expected[likeliest[0]], rel=1e-3)


def test_a_misspelt_word_is_the_worst_spot(poet):
    found = poet.surprise("the sea sings now\na bird sengs still\nmy heart waits now\n")
    spots = found.worst(4)
    assert {spot.line for spot in spots[:2]} == {2}
    assert [spot.character.bits for spot in spots] == sorted(
        (spot.character.bits for spot in spots), reverse=True
    )
    worst = next(spot for spot in spots if spot.column == 9)
    assert worst.before == "a bird s"
    assert worst.character.text == "e"
    assert next(iter(worst.character.expected)) == "i"
    means = [line.bits for line in found.lines()]
    assert max(means) == means[1]
    assert [line.number for line in found.lines()] == [1, 2, 3]


def test_an_empty_text_is_an_error_and_one_character_has_no_context(poet):
    with pytest.raises(ChargenError, match="nothing to be surprised by"):
        poet.surprise("")
    assert [c.bits for c in poet.surprise("a").characters()] == [None]


def test_the_command_agrees_with_eval_and_prints_one_object(run, poet, verse, tmp_path):
    poet.save(tmp_path / "poet")
    (tmp_path / "held.txt").write_text(verse[:500])
    status, out, _ = run("inspect", "surprise", "held.txt", "-m", "poet", "--json")
    assert status == 0
    record = json.loads(out)
    score = json.loads(run("eval", "held.txt", "-m", "poet", "--json")[1])
    bits = [character["bits"] for character in record["characters"]]
    assert bits[0] is None
    assert sum(bits[1:]) / len(bits[1:]) == pytest.approx(score["bits_per_character"], abs=1e-6)
    assert "".join(character["text"] for character in record["characters"]) == verse[:500]
    assert len(record["characters"][9]["expected"]) == 5


def test_the_terminal_is_coloured_only_where_it_is_asked_for(run, poet, tmp_path):
    poet.save(tmp_path / "poet")
    words = ("inspect", "surprise", "-m", "poet", "--worst", 1)
    status, out, _ = run(*words, "-", stdin="a bird sengs now\nthe sea")
    assert status == 0
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0].endswith("│ a bird sengs now")
    assert lines[1].endswith("│ the sea")
    assert re.fullmatch(r" *\d+\.\d bits  1:\d+ .*▸“.”  expected “.” \d+%.*", lines[3])
    assert "\x1b[38;5;16;48;5;" in run(*words, "--color", "--text", "a bird sengs")[1]


def test_unknown_characters_are_adapted_and_told(run, poet, tmp_path):
    poet.save(tmp_path / "poet")
    status, out, err = run("inspect", "surprise", "-m", "poet", "--text", "a bírd")
    assert status == 0
    assert "í" in err
    assert "a bird" in out
    assert run("inspect", "surprise", "-m", "poet", "--text", "日")[0] == 1
    assert run("inspect", "surprise", "-m", "poet", "--text", "日a b", "--unknown", "skip")[0] == 0
    assert run("inspect", "surprise", "-m", "poet")[0] == 2
    assert run("inspect", "surprise", "-m", "poet", "--text", "")[0] == 1


def test_from_a_file_or_as_a_string_it_is_the_same(poet, verse, tmp_path):
    (tmp_path / "v.txt").write_text(verse[:200])
    text = Text.open([str(tmp_path / "v.txt")])
    assert poet.surprise(text).bits_per_character == poet.surprise(verse[:200]).bits_per_character
