"""The text of a column of a table: each row is a document, and what was left out is said."""

import json

import pytest

from chargen import ChargenError
from chargen.data.rows import SEPARATOR, open_corpus

JOKES = """id,joke,score
1,"Why did the bird
cross the sea?",3
2,"He said ""no"", and left.",5
3,,1
4,A plain one.,2
"""


@pytest.fixture
def opened(tmp_path):
    def opened(content, *columns, name="jokes.csv"):
        (tmp_path / name).write_text(content)
        return open_corpus([str(tmp_path / name)], columns=columns)

    return opened


def test_d17_the_rows_of_a_column_are_the_documents(opened):
    text = opened(JOKES, "joke")
    assert "".join(text.pieces()).split(SEPARATOR) == [
        "Why did the bird\ncross the sea?",
        'He said "no", and left.',
        "A plain one.",
    ]
    assert "comma-separated with quotes, header: id, joke, score" in text.notes
    assert any(note.startswith("left out 1 bad row, in line 5") for note in text.notes)
    assert opened(JOKES, "joke").sha256 == text.sha256 != opened(JOKES, "score").sha256


def test_d17_several_columns_and_several_tables_are_joined(opened, tmp_path):
    lines = "\n".join(map(json.dumps, [{"a": "x", "b": "y"}, {"a": "z", "b": 1}]))
    text = opened(lines, "a", "2", name="rows.jsonl")
    assert "".join(text.pieces()) == f"x y{SEPARATOR}z 1"
    both = open_corpus([str(tmp_path / "rows.jsonl")] * 2, columns=["a"])
    assert "".join(both.pieces()).split(SEPARATOR) == ["x", "z", "x", "z"]


def test_d17_a_column_that_does_not_exist_is_named_with_those_that_do(opened):
    with pytest.raises(ChargenError, match="no column 'text'; there are: id, joke, score"):
        opened(JOKES, "text")


def test_d17_a_table_without_a_column_is_noticed_and_other_texts_are_not(opened):
    (note,) = opened(JOKES).notes
    assert note.startswith("jokes looks like a table (comma-separated with quotes, header: id, joke")
    for text in (
        "The sea, the sky.\nA bird, a tree.\n" * 20,
        "Ada\nGrace\n" * 20,
        "x = f(a, b)\n" * 9,
    ):
        assert not opened(text, name="other.txt").notes
