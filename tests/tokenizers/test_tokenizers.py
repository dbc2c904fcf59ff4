"""Laws of every tokenizer, and what each promises beyond."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen import ChargenError
from chargen.tokenizers.build import KINDS, build_tokenizer, load_tokenizer
from chargen.tokenizers.bytes import ByteTokenizer
from chargen.tokenizers.characters import CharTokenizer
from chargen.tokenizers.pieces import PieceTokenizer

UGLY = [
    "",
    "\n",
    "a",
    "👨‍👩‍👧 family",
    "e\u0301 n\u0303 combining",
    "line\u2028paragraph\u2029next\x85line\x0b\x0c",
    "carriage\r\nreturn\rlone",
    "nul\x00 bell\x07 escape\x1b",
    "high \U0010ffff \U0001f600 \ue000",
    "space \u2581 mark, \ufdd0a escape \ufdd0b \ufdd0",
    "  two  spaces\t\ttabs \n\n\n newlines  ",
    "<s> </s> <unk> <0x0A> ⁇",
    "日本語のテキスト और हिन्दी עברית",
    "\ufeffmark",
]
CORPUS = ["the quick brown fox jumps over the lazy dog\n" * 40, *UGLY]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return build_tokenizer(request.param, CORPUS, vocab_size=600)


@pytest.mark.parametrize("text", UGLY)
def test_decode_of_encode_is_the_text(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_decode_of_encode_is_any_text_where_bytes_stand_in(kind, text):
    tokenizer = _built(kind)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.text(min_size=1))
def test_decode_of_encode_is_any_text_that_characters_were_built_from(text):
    tokenizer = CharTokenizer.build([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert list(tokenizer.characters) == sorted(set(text))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_the_join_of_the_incremental_text_is_decode_for_any_tokens(data):
    for kind in KINDS:
        tokenizer = _built(kind)
        ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
        detokenizer = tokenizer.detokenizer()
        assert "".join(map(detokenizer.push, ids)) + detokenizer.finish() == tokenizer.decode(ids)


def test_a_detokenizer_never_shows_half_a_character():
    tokenizer = ByteTokenizer()
    detokenizer = tokenizer.detokenizer()
    assert [detokenizer.push(i) for i in tokenizer.encode("é!")] == ["", "é", "!"]
    assert detokenizer.push(0xC3) == ""
    assert detokenizer.finish() == "\ufffd"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["byte", "bpe"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_utf8_transitions_allow_exactly_what_can_go_on_as_utf8(kind, data):
    tokenizer = _built(kind)
    state, written = 0, b""
    for _ in range(6):
        allowed = np.flatnonzero(tokenizer.utf8_transitions[state] >= 0)
        for token in data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=3)):
            assert (token in allowed) == _begins_utf8(written + tokenizer.pieces[token])
        token = data.draw(st.sampled_from(allowed.tolist()))
        state, written = tokenizer.utf8_transitions[state, token], written + tokenizer.pieces[token]
    assert _begins_utf8(written)


def _begins_utf8(data: bytes) -> bool:
    """Whether it can go on as UTF-8; Python's incremental decoder waits even after ED A0."""
    endings = ("", "80", "8080", "808080", "a080", "908080")
    return any(_is_utf8(data + bytes.fromhex(ending)) for ending in endings)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def test_characters_need_no_utf8_transitions():
    assert _built("char").utf8_transitions is None


def test_save_and_load_give_the_same_tokenizer(tokenizer):
    again = load_tokenizer(tokenizer.dump())
    for text in UGLY:
        assert np.array_equal(again.encode(text), tokenizer.encode(text))
    assert (again.kind, again.end_id, len(again)) == (tokenizer.kind, None, len(tokenizer))


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_symbol_is_the_last_id_and_decodes_to_nothing(kind):
    tokenizer = load_tokenizer(build_tokenizer(kind, CORPUS, 600, documents=True).dump())
    assert tokenizer.end_id == len(tokenizer) - 1
    ids = [*tokenizer.encode("dog"), tokenizer.end_id]
    assert tokenizer.decode(ids) == "dog"
    assert tokenizer.measure(np.array(ids)) == (4, 4)


def test_measure_counts_characters_and_bytes(tokenizer):
    for text in UGLY:
        assert tokenizer.measure(tokenizer.encode(text)) == (len(text), len(text.encode()))


def test_the_character_vocabulary_is_in_the_order_of_code_points_and_says_what_it_holds():
    tokenizer = CharTokenizer.build(["banana\n", "Ωabcdef .!"])
    assert tokenizer.characters == "\n !.abcdefnΩ"
    assert tokenizer.describe() == "12 characters: newline space ! . a–f n Ω"


def test_an_unknown_character_is_named_with_code_point_and_position():
    with pytest.raises(ChargenError, match=r"'é' \(U\+00E9 .*\) at position 3 is unknown"):
        CharTokenizer("abc").encode("abé")


def test_more_characters_than_a_script_has_is_an_error_with_advice():
    with pytest.raises(ChargenError, match="use tokenizer byte or tokenizer bpe"):
        CharTokenizer.build(["".join(map(chr, range(0x3400, 0x9000)))])


def test_a_novel_with_thousands_of_characters_is_fine():
    novel = "".join(map(chr, range(0x4E00, 0x4E00 + 6000)))
    tokenizer = CharTokenizer.build([novel])
    assert tokenizer.decode(tokenizer.encode(novel)) == novel


@pytest.mark.parametrize(
    ("known", "prompt", "adapted"),
    [
        ("e", "é", "e"),  # without its mark
        ("\u00e9", "e\u0301", "\u00e9"),  # composed
        ("e\u0301", "\u00e9", "e\u0301"),  # decomposed, nothing lost
        ('"', "“", '"'),
        ("'", "“", "'"),  # the substitute's substitute
        ("-", "—", "-"),
        (".", "…", "..."),
        ("fi", "ﬁ", "fi"),
        (" ", "\u00a0", " "),
        ("a", "A", "a"),
        ("u", "Ü", "u"),
    ],
)
def test_a_prompt_takes_the_nearest_known_substitute_and_says_so(known, prompt, adapted):
    tokenizer = CharTokenizer.build([known])
    text, notes = tokenizer.adapt(prompt)
    assert text == adapted
    assert len(notes) == 1


def test_a_known_prompt_is_never_changed():
    tokenizer = CharTokenizer.build(["e\u0301 \u00e9"])
    assert tokenizer.adapt("e\u0301\u00e9") == ("e\u0301\u00e9", [])


def test_a_character_without_a_substitute_is_an_error_or_skipped_aloud():
    tokenizer = CharTokenizer("abc")
    with pytest.raises(ChargenError, match=r"'日' \(U\+65E5.*position 2.*skip=True"):
        tokenizer.adapt("a日b")
    text, notes = tokenizer.adapt("a日b", skip=True)
    assert text == "ab"
    assert "skipped" in notes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_character_is_an_error(kind):
    tokenizer = _built(kind)
    for use in (tokenizer.encode, tokenizer.adapt):
        with pytest.raises(ChargenError, match=r"surrogate U\+D800"):
            use("a\ud800")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_whole_file_in_one_line_is_learned_from(kind):
    words = " ".join(f"word{i % 50}" for i in range(20_000))
    tokenizer = build_tokenizer(kind, [words], 400)
    assert len(tokenizer.encode(words)) < len(words) / 2
    assert tokenizer.decode(tokenizer.encode(words)) == words


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_where_a_text_is_cut_at_newlines_does_not_change_its_pieces(kind):
    tokenizer = _built(kind)
    lines = CORPUS[0].splitlines(keepends=True)
    whole = tokenizer.encode(CORPUS[0])
    assert np.array_equal(np.concatenate([tokenizer.encode(line) for line in lines]), whole)


def test_more_characters_than_pieces_fall_back_to_bytes():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 2000))) * 3
    tokenizer = build_tokenizer("bpe", [text], 500)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram"])
def test_an_empty_corpus_is_an_error(kind):
    with pytest.raises(ChargenError, match="empty"):
        build_tokenizer(kind, [""], 500)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tokenizer.json": b"{"},
        {"tokenizer.json": b"[]"},
        {"tokenizer.json": b'{"kind": "morse", "documents": false}'},
        {"tokenizer.json": b'{"kind": "char", "documents": false, "characters": "ba"}'},
        {"tokenizer.json": b'{"kind": "char", "documents": false, "characters": "aa"}'},
        {"tokenizer.json": b'{"kind": "char", "documents": false, "characters": 7}'},
        {"tokenizer.json": b'{"kind": "bpe", "documents": false}', "tokenizer.model": b""},
        {"tokenizer.json": b'{"kind": "bpe", "documents": false}', "tokenizer.model": b"junk"},
        {"tokenizer.json": b'{"kind": "bpe", "documents": false}'},
    ],
)
def test_files_that_hold_no_tokenizer_are_an_error(files):
    with pytest.raises(ChargenError, match=r"tokenizer|vocabulary"):
        load_tokenizer(files)


_cache: dict[str, object] = {}


def _built(kind):
    if kind not in _cache:
        _cache[kind] = build_tokenizer(kind, CORPUS, vocab_size=600)
    return _cache[kind]


def test_pieces_are_learned_by_the_named_algorithm():
    assert isinstance(_built("bpe"), PieceTokenizer)
    assert not np.array_equal(_built("bpe").encode(CORPUS[0]), _built("unigram").encode(CORPUS[0]))
