"""A place in a text can be gone on from as often as one likes, however it was reached."""

import pytest

from chargen import ChargenError, Sampler, TextGenerator


@pytest.fixture(scope="module", params=["char", "byte", "bpe"])
def writer(request, verse):
    text = verse + "é"
    return TextGenerator.new(text, tokenizer=request.param, vocab_size=320, hidden_size=16)


def test_read_in_parts_it_is_the_place_of_the_whole(writer):
    whole = writer.read("a bird sings né")
    parts = writer.read("a bi").read("rd sin").read("").read("gs n").read("é")
    assert parts.text == whole.text
    assert parts.expected() == pytest.approx(whole.expected())
    assert "".join(parts.stream(seed=3)) == "".join(whole.stream(seed=3))


def test_what_goes_on_from_it_is_what_generate_writes(poet):
    mark = poet.read("a bird ")
    for seed in (1, 2, 1):  # the second time as the first: nothing was changed
        assert "a bird " + "".join(mark.stream(length=80, seed=seed)) == poet.generate(
            "a bird ", length=80, seed=seed
        )
    side = list(mark.streams(3, 80, Sampler(0.8), seed=1))
    assert "".join(pieces[0] for pieces in side) == "".join(mark.stream(length=80, seed=1))


def test_a_choice_leads_elsewhere_and_leaves_the_place_alone(poet):
    mark = poet.read("a bird ")
    before = mark.expected()
    assert set("sw") == set(list(before)[:2])  # sings or waits
    assert next(iter(mark.read("s").expected())) == "i"
    assert next(iter(mark.read("w").expected())) == "a"
    assert mark.expected() == before


def test_expected_is_the_distribution_that_is_drawn_from(poet):
    mark = poet.read("a bird ")
    chances = mark.expected()
    assert sum(chances.values()) == pytest.approx(1)
    assert list(chances.values()) == sorted(chances.values(), reverse=True)
    likeliest = next(iter(chances))
    assert mark.expected(Sampler(0)) == {likeliest: 1.0}
    assert list(mark.expected(Sampler(1.0, top_k=2))) == list(chances)[:2]
    assert mark.expected(Sampler(2.0))[likeliest] < chances[likeliest]


def test_the_end_of_a_document_and_parts_of_a_character_have_names(verse):
    lines = TextGenerator.new(verse, split_on="line", hidden_size=16)
    assert "" in lines.read("a bird").expected()
    of_bytes = TextGenerator.new(verse, tokenizer="byte", hidden_size=16)
    assert "<C3>" in of_bytes.read("a").expected()
    assert "<A9>" not in of_bytes.read("a").expected()  # no character begins with it


def test_a_character_without_relatives_is_an_error_and_a_relative_is_told(poet):
    with pytest.raises(ChargenError, match=r"U\+65E5"):
        poet.read("日")
    with pytest.warns(UserWarning, match="é"):
        assert poet.read("é").text == "e"
