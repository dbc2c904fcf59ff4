"""Labelled texts from any table or folder: nothing is guessed or dropped silently."""

import errno
import json
import os

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
        "comma-separated with quotes, header: label, text",
        "label: column 'label', text: column 'text'; "
        "for example: label 'blue', text 'the sea, the sky'",
    ]
    assert data.counts() == {"blue": 2, "red": 1}


def test_a_table_without_a_header_loses_no_row(read):
    """As AG News: a number, a title, a description; the label is what repeats."""
    data = read('"3","Oil","up again"\n"1","War","is over"\n"3","Gold","down"\n')
    assert data.labels == ["3", "1", "3"]
    assert data.texts == ["Oil up again", "War is over", "Gold down"]
    assert data.notes == [
        "comma-separated with quotes, no header: the first row is a text like the others",
        "label: column 1, text: column 2 and column 3; for example: label '3', text 'Oil up again'",
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
    assert len(read("label,text\nlabel,other\n", header=False, label="1")) == 2


def test_a_header_is_known_by_a_cell_that_never_comes_again(read):
    rows = "".join(f"{['blue', 'red'][i % 2]},thing {i}\n" for i in range(30))
    data = read("colour,object\n" + rows)
    assert len(data) == 30
    assert "comma-separated, header: colour, object" in data.notes
    # Where another label is as rare, it may be a class of one.
    assert len(read("green,sea\n" + rows + "black,coal\n")) == 32


def test_tabs_separate_without_quotes(read):
    data = read('en\tshe said "no"\nde\t"ja\n', "data.tsv", label="1")
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
    assert "left out 2 bad rows, in lines 2, 3; the first: 1 columns, where the others have 2" in (
        data.notes
    )


def test_d1_an_error_names_the_first_few_lines(read):
    table = "text,label\n" + 'fine,pos\n"bad,neg\n' * 8
    with pytest.raises(ChargenError) as caught:
        read(table)
    assert "data.csv, line 3: bad quoting" in str(caught.value)
    assert "(8 bad rows, in lines 3, 5, 7, 9, 11, …); correct the row, or leave" in str(caught.value)
    data = read(table, skip_bad_rows=True)
    assert data.texts == ["fine"] * 8
    assert data.notes[-1].startswith("left out 8 bad rows, in lines 3, 5, 7, 9, 11, …; the first: bad")


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.jsonl", "data"])
def test_d2_the_name_of_a_file_decides_nothing(read, name):
    for content in (
        "text;label\nfine, day;pos\nbad, day;neg\n",
        "text\tlabel\nfine, day\tpos\nbad, day\tneg\n",
        '[{"text": "fine, day", "label": "pos"}, {"text": "bad, day", "label": "neg"}]',
    ):
        data = read(content, name)
        assert data.texts == ["fine, day", "bad, day"]
        assert data.labels == ["pos", "neg"]


def test_d2_a_separator_can_be_given(read):
    data = read("a;b,c\nd;e,f\n", separator="semicolon", label="1")
    assert data.texts == ["b,c", "e,f"]
    with pytest.raises(ChargenError, match=r"can be read in 2 ways.* say which with separator"):
        read("a;b,c\nd;e,f\n", label="1")


def test_d7_what_fails_later_is_a_bad_row_with_its_line(read):
    table = '{"text":"ok","label":"pos"}\n{"text":"half \\ud83d","label":"pos"}\n'
    with pytest.raises(ChargenError, match="line 2: the text holds half a character"):
        read(table)
    assert read(table, skip_bad_rows=True).texts == ["ok"]


def test_r7_a_closed_folder_of_a_class_is_refused_by_name(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / "classes" / name / "more").mkdir(parents=True)
        (tmp_path / "classes" / name / "1.txt").write_text(f"text of {name}")
        (tmp_path / "classes" / name / "more" / "2.txt").write_text(f"another of {name}")
    assert len(Labelled.open(str(tmp_path / "classes"))) == 6
    scandir = os.scandir
    for closed in (tmp_path / "classes" / "b", tmp_path / "classes" / "c" / "more"):

        def refuse(path=".", closed=closed):
            if os.fspath(path) == str(closed):
                raise PermissionError(errno.EACCES, "Permission denied", str(closed))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(ChargenError, match=rf"{closed} cannot be read: Permission denied"):
            Labelled.open(str(tmp_path / "classes"))


def test_r7_a_class_without_texts_is_named(tmp_path):
    (tmp_path / "classes" / "empty").mkdir(parents=True)
    (tmp_path / "classes" / "full.txt").write_text("one\ntwo\n")
    data = Labelled.open(str(tmp_path / "classes"))
    assert data.notes[1] == "left out 1 without a text: 'empty'"


def test_d12_labels_are_compared_with_those_of_the_training():
    data = Labelled(["x"] * 4, ["a", "b", "c", "c"], "test")
    assert data.check_labels(["a", "b", "c"]) == []
    assert data.check_labels(["a", "b"]) == [
        "2 texts of test have labels that do not occur in training, and count as wrong: 'c'"
    ]
    with pytest.raises(ChargenError) as caught:
        data.check_labels(["1", "2"])
    assert str(caught.value) == (
        "none of the labels of test occurs in training: 'a', 'b', 'c'; in training they are '1', '2'; "
        "name the column of the labels with label"
    )


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
