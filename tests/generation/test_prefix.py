"""A prefix can be continued any number of times, however it was read."""

import pytest

from chargen import ChargenError, Sampler, TextGenerator


@pytest.fixture(scope="module", params=["char", "byte", "bpe"])
def writer(request, verse):
    text = verse + "é"
    return TextGenerator.new(text, tokenizer=request.param, vocab_size=320, hidden_size=16)


def test_a_prefix_read_in_parts_is_the_one_read_at_once(writer):
    whole = writer.read("a bird sings né")
    parts = writer.read("a bi").read("rd sin").read("").read("gs n").read("é")
    assert parts.text == whole.text
    assert parts.expected() == pytest.approx(whole.expected())
    assert "".join(parts.stream(seed=3)) == "".join(whole.stream(seed=3))


def test_a_prefix_is_continued_as_generate_continues_its_text(poet):
    prefix = poet.read("a bird ")
    for seed in (1, 2, 1):  # the second time as the first: nothing was changed
        assert "a bird " + "".join(prefix.stream(length=80, seed=seed)) == poet.generate(
            "a bird ", length=80, seed=seed
        )
    side = list(prefix.streams(3, 80, Sampler(0.8), seed=1))
    assert "".join(pieces[0] for pieces in side) == "".join(prefix.stream(length=80, seed=1))


def test_a_longer_prefix_is_another_one_and_leaves_the_first_unchanged(poet):
    prefix = poet.read("a bird ")
    before = prefix.expected()
    assert set("sw") == set(list(before)[:2])  # sings or waits
    assert next(iter(prefix.read("s").expected())) == "i"
    assert next(iter(prefix.read("w").expected())) == "a"
    assert prefix.expected() == before


def test_expected_is_the_distribution_that_is_drawn_from(poet):
    prefix = poet.read("a bird ")
    chances = prefix.expected()
    assert sum(chances.values()) == pytest.approx(1)
    assert list(chances.values()) == sorted(chances.values(), reverse=True)
    likeliest = next(iter(chances))
    assert prefix.expected(Sampler(0)) == {likeliest: 1.0}
    assert list(prefix.expected(Sampler(1.0, top_k=2))) == list(chances)[:2]
    assert prefix.expected(Sampler(2.0))[likeliest] < chances[likeliest]


def test_the_end_of_a_document_and_parts_of_a_character_have_names(verse):
    lines = TextGenerator.new(verse, split_on="line", hidden_size=16)
    assert "" in lines.read("a bird").expected()
    of_bytes = TextGenerator.new(verse, tokenizer="byte", hidden_size=16)
    assert "<C3>" in of_bytes.read("a").expected()
    assert "<A9>" not in of_bytes.read("a").expected()  # no character begins with it


def test_a_character_without_a_substitute_is_an_error_and_a_substitute_is_a_warning(poet):
    with pytest.raises(ChargenError, match=r"U\+65E5"):
        poet.read("日")
    with pytest.warns(UserWarning, match="é"):
        assert poet.read("é").text == "e"
