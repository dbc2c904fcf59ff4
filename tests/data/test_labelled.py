"""Labelled texts from any table or folder: nothing is guessed or dropped silently."""

import json

import pytest

from chargen import ChargenError
from chargen.data.labelled import Labelled, languages


@pytest.fixture
def read(tmp_path):
    def read(content, name="data.csv", **options):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return Labelled.open(str(tmp_path / name), **options)

    return read


def test_a_table_with_a_header_says_what_it_took(read):
    data = read('label,text\nblue,"the sea, the sky"\nred,"a ""poppy"""\nblue,ice\n')
    assert data.texts == ["the sea, the sky", 'a "poppy"', "ice"]
    assert data.labels == ["blue", "red", "blue"]
    assert data.notes == [
        "the first row is the header: label, text",
        "label: column 'label', text: column 'text'",
    ]
    assert data.counts() == {"blue": 2, "red": 1}


def test_a_table_without_a_header_loses_no_row(read):
    """As AG News: a number, a title, a description; the label is what repeats."""
    data = read('"3","Oil","up again"\n"1","War","is over"\n"3","Gold","down"\n')
    assert data.labels == ["3", "1", "3"]
    assert data.texts == ["Oil up again", "War is over", "Gold down"]
    assert data.notes == [
        "no header: the first row is a text like the others",
        "label: column 1, text: column 2 and column 3",
    ]


def test_columns_are_named_or_counted(read):
    table = "id\ttitle\tmood\tbody\n1\tA\tgood\tone\n2\tB\tbad\ttwo\n"
    for text, label in ((["title", "body"], "mood"), (["2", "4"], "3")):
        data = read(table, "data.tsv", text=text, label=label, header=True)
        assert data.texts == ["A one", "B two"]
        assert data.labels == ["good", "bad"]
    with pytest.raises(ChargenError, match="no column 'feeling'; there are: id, title, mood, body"):
        read(table, "data.tsv", label="feeling", header=True)


def test_a_header_can_be_insisted_on_or_denied(read):
    table = "colour,thing\nblue,sea\nred,poppy\nblue,ice\n"
    assert len(read(table)) == 4
    assert len(read(table, header=True)) == 3
    assert len(read("label,text\nlabel,other\n", header=False)) == 2


def test_a_header_is_known_by_a_cell_that_never_comes_again(read):
    rows = "".join(f"{['blue', 'red'][i % 2]},thing {i}\n" for i in range(30))
    data = read("colour,object\n" + rows)
    assert len(data) == 30
    assert "the first row is the header: colour, object" in data.notes
    # Where another label is as rare, it may be a class of one.
    assert len(read("green,sea\n" + rows + "black,coal\n")) == 32


def test_tabs_separate_without_quotes(read):
    data = read('en\tshe said "no"\nde\t"ja\n', "data.tsv")
    assert data.texts == ['she said "no"', '"ja']


@pytest.mark.parametrize("name", ["data.jsonl", "data"])
def test_json_lines(read, name):
    rows = [{"y": 1, "review": "good"}, {"y": 0, "review": "bad\nvery", "more": 7}]
    data = read("\n".join(map(json.dumps, rows)), name, text=["review"], label="y")
    assert data.texts == ["good", "bad\nvery"]
    assert data.labels == ["1", "0"]


def test_a_folder_of_folders_and_a_folder_of_files(tmp_path):
    (tmp_path / "mail" / "spam").mkdir(parents=True)
    (tmp_path / "mail" / "ham").mkdir()
    (tmp_path / "mail" / "spam" / "1.txt").write_text("buy now\n\nbuy more\n")
    (tmp_path / "mail" / "ham" / "1.txt").write_text("see you")
    data = Labelled.open(str(tmp_path / "mail"))
    assert list(zip(data.labels, data.texts, strict=True)) == [
        ("ham", "see you"),
        ("spam", "buy now\n\nbuy more"),
    ]
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "Greek.txt").write_text("Galanos\n\nPapas\n")
    (tmp_path / "names" / "Irish.txt").write_text("O'Neill")
    data = Labelled.open(str(tmp_path / "names"))
    assert data.counts() == {"Greek": 2, "Irish": 1}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("a,b\nx,y,z\nc,d\n", "t.csv", "line 2: 3 columns, where the others have 2"),
        ("red,one\n,two\nred,three\n", "t.csv", "line 2: the label is empty"),
        ("red,one\nblue,\nred,three\n", "t.csv", "line 2: the text is empty"),
        ('red,one\nblue,"two\nred,three\n', "t.csv", "line 2: bad quoting"),
        ('red,one\nblue,"two" more\n', "t.csv", "line 2: bad quoting"),
        ('red,"one\ntwo"\nblue\nred,x\nred,y\n', "t.csv", "line 3: 1 columns"),
        ('{"label": "a", "text": "x"}\n{"label"\n', "t.jsonl", "line 2: not JSON"),
        ('{"label": "a", "text": "x"}\n[1]\n', "t.jsonl", "line 2: not a JSON object"),
        ('{"label": "a", "text": "x"}\n{"label": "b"}\n', "t.jsonl", "line 2: no 'text'"),
        ('{"label": "a", "text": "x"}\n{"label": [], "text": ""}\n', "t.jsonl", "no plain value"),
        ("label,text,label\na,b,c\nd,e,f\n", "t.csv", "two columns are named 'label'"),
        ("only\none\ncolumn\n", "t.csv", "has one column"),
        ("", "t.csv", "is empty"),
        ("label,text\n", "t.csv", "holds no labelled text"),
    ],
)
def test_a_bad_row_is_an_error_with_its_line(read, content, name, message):
    options = {"header": True} if content.startswith("label,text") else {}
    with pytest.raises(ChargenError, match=message):
        read(content, name, **options)


def test_bad_rows_can_be_left_out_and_are_counted(read):
    data = read("red,one\nblue\n,two\nblue,three\nred,four\n", skip_bad_rows=True)
    assert data.labels == ["red", "blue", "red"]
    assert "left out 2 bad rows, the first in line 2" in data.notes


def test_the_split_keeps_a_share_of_every_class_and_never_its_only_text():
    data = Labelled([f"t{i}" for i in range(111)], ["a"] * 100 + ["b"] * 10 + ["c"], "data")
    training, validation = data.split(0.1, seed=1)
    assert validation.counts() == {"a": 10, "b": 1}
    assert training.counts() == {"a": 90, "b": 9, "c": 1}
    assert not set(training.texts) & set(validation.texts)
    assert data.split(0.1, seed=1)[1].texts == validation.texts
    assert data.split(0.1, seed=2)[1].texts != validation.texts
    assert len(data.split(0.0, seed=1)[1]) == 0


def test_numbers_are_sorted_as_numbers():
    assert Labelled(["x"] * 4, ["10", "9", "b", "1"], "data").classes == ["1", "9", "10", "b"]


def test_the_built_in_sentences_are_many_and_none_comes_twice():
    data = Labelled.open(str(languages()))
    assert len(data.classes) >= 12
    assert min(data.counts().values()) >= 120
    assert len(set(data.texts)) == len(data.texts)
    assert all(8 <= len(text) <= 100 for text in data.texts)
