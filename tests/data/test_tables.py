"""Tables of any kind: the content shows how to read them, and no line is lost."""

import csv
import io
import json
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargen import ChargenError, Labelled
from chargen.data.delimited import SEPARATORS
from chargen.data.tables import looks_like_table, read_table, refuse_or_note

FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "utf-16"]
# All that means something to a format, and some that only seems to end a line.
ANY = "ab1,;|\t\"'\\ \n\r{}[]:é\x0b\x85\u2028\0"


def accounted(content, table):
    """Checks that each line is in one place; returns the numbers of those that are in none."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    parts = [*table.rows, *table.bad, *([table.header] if table.header else [])]
    uses = Counter(line for part in parts for line in range(part.line, part.line + part.lines))
    assert not set(uses) - set(range(1, len(lines) + 1))
    shared = any(part.entry for part in (*table.rows, *table.bad))  # objects of JSON share lines
    assert shared or max(uses.values(), default=1) == 1
    left = [number for number in range(1, len(lines) + 1) if number not in uses]
    for number in left:
        assert re.fullmatch(r'[\s,\[\]}{]*|"?sep=.?"?', lines[number - 1].removeprefix("\ufeff"))
    return left


def texts(table, *columns):
    """The cells of some columns, row by row."""
    numbers = [table.column(name) for name in columns]
    return [[table.cell(row, number) for number in numbers] for row in table.rows]


def pairs(table):
    """The text and the label of each row, and the bad rows, as a classifier would take them."""
    label = table.guess_label()
    rows, bad = table.select({"text": table.guess_texts(label), "label": [label]})
    return [tuple(values.values()) for _, values in rows], bad


# D1: every line is used or reported ---------------------------------------------------------------


def test_d1_an_open_quote_costs_its_own_line_alone():
    table = read_table("t", 'text,label\nfine day,pos\n"bad day,neg\ngood one,pos\nsad one,neg\n')
    assert [(row.line, row.lines) for row in table.rows] == [(2, 1), (4, 1), (5, 1)]
    assert [(row.line, row.lines) for row in table.bad] == [(3, 1)]
    rows = [f"text {i},{'pos' if i % 2 else 'neg'}" for i in range(400)]
    for broken in (50, 51, 200, 399):
        rows[broken] = '"' + rows[broken]
    table = read_table("t", "text,label\n" + "\n".join(rows))
    assert [row.line for row in table.bad] == [52, 53, 202, 401]
    assert len(table.rows) == 396


def test_d1_an_open_quote_that_is_closed_lines_later_costs_the_two_lines():
    table = read_table("t", 'text,label\n"bad day,neg\ngood,pos\nfine,pos\nsad,neg"\nok,pos\n')
    assert [row.line for row in table.bad] == [2, 5]
    assert texts(table, "text", "label") == [["good", "pos"], ["fine", "pos"], ["ok", "pos"]]


def test_d1_a_text_that_seems_to_hold_rows_is_noted():
    content = 'text,label\n"bad day,neg\ngood one,pos\nsad one",neg\nfine,pos\n'
    table = read_table("t", content)
    assert texts(table, "text") == [["bad day,neg\ngood one,pos\nsad one"], ["fine"]]
    assert table.remarks == [
        "the row in line 2 takes 3 lines, each of which could be a row of its own: "
        "is there a quote too many?"
    ]
    assert read_table("t", 'text,label\n"one\ntwo\nthree",neg\nfine,pos\n').remarks == []


def test_d1_a_long_cell_with_a_cell_too_many_is_one_bad_row():
    table = read_table("t", 'text,label\n"one\ntwo, three\nfour",pos,more\nfine,neg\nbad,pos\n')
    assert [(row.line, row.lines) for row in table.bad] == [(2, 3)]
    assert texts(table, "text") == [["fine"], ["bad"]]


@FUZZ
@given(content=st.text(ANY, max_size=120), separator=st.sampled_from([*SEPARATORS, ":"]))
def test_d1_no_line_of_any_text_is_lost(content, separator):
    accounted(content, read_table("t", content, separator=separator))


@FUZZ
@given(content=st.text(ANY, max_size=120))
def test_d1_no_line_is_lost_where_the_format_is_found(content):
    try:
        table = read_table("t", content)
    except ChargenError as error:
        assert re.search("2 ways|3 ways|4 ways|not of objects|several keys", str(error))  # noqa: PT017
    else:
        accounted(content, table)


CELLS = st.text("ab ,;|\t\"\n'\\é", max_size=8)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=8)
)


def written(rows, separator, quoting=csv.QUOTE_MINIMAL, end="\n"):
    """A table as the standard library writes it."""
    file = io.StringIO()
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    return file.getvalue()


@FUZZ
@given(
    rows=TABLES,
    separator=st.sampled_from(list(SEPARATORS.values())),
    places=st.lists(st.tuples(st.integers(0, 400), st.sampled_from(['"', "\n", ",", "\t", ""]))),
)
def test_d1_no_line_of_a_damaged_table_is_lost(rows, separator, places):
    content = written(rows, separator)
    for place, damage in places:
        content = content[:place] + damage + content[place + 1 :]
    accounted(content, read_table("t", content, separator=separator))


@FUZZ
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["text", "label", "title", "id"]),
            st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
            min_size=1,
        ),
        min_size=1,
        max_size=6,
    ),
    indent=st.sampled_from([None, 0, 1, 2]),
    place=st.none() | st.integers(0, 200),
    damage=st.sampled_from(['"', "{", "}", ",", "\n", ""]),
    form=st.sampled_from(["lines", "array", "array by lines", "wrapped", "one after another"]),
)
def test_d1_no_line_of_json_is_lost(rows, indent, place, damage, form):
    content = {
        "lines": "\n".join(map(json.dumps, rows)),
        "array": json.dumps(rows, indent=indent),
        "array by lines": "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
        "wrapped": json.dumps({"data": rows}, indent=indent),
        "one after another": "\n".join(json.dumps(row, indent=2) for row in rows),
    }[form]
    if place is not None:
        content = content[:place] + damage + content[place + 1 :]
    try:
        table = read_table("t", content)
    except ChargenError:  # a damaged beginning may look like anything
        return
    if form == "wrapped":  # the lines around the list are neither rows nor brackets alone
        content = re.sub(
            r'"[^"]*"\s*:\s*\[', lambda key: re.sub(r"[^\n]", " ", key[0]), content, count=1
        )
    accounted(content, table)
    if place is None:
        assert [row.cells for row in table.rows] == rows or table.format.endswith("of columns")


# What was written is read -------------------------------------------------------------------------


@FUZZ
@given(
    rows=TABLES,
    separator=st.sampled_from(list(SEPARATORS.values())),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_by_any_dialect_is_read_as_it_was_written(rows, separator, quoting, end):
    names = ["text", "label", "more", "most"][: len(rows[0])]
    content = written([names, *rows], separator, quoting, end)
    table = read_table("t", content, requested=["text", "label"])
    assert [row.cells for row in table.rows] == rows
    assert table.bad == []
    assert table.names == names


@FUZZ
@given(
    rows=st.lists(st.tuples(st.text("ab ,;\"\n'é", min_size=1), st.sampled_from(["x", "y"]))),
    encoding=st.sampled_from(ENCODINGS),
    separator=st.sampled_from(list(SEPARATORS.values())),
)
def test_a_table_in_any_encoding_is_read_as_it_was_written(tmp_path, rows, encoding, separator):
    rows = [(text, label) for text, label in rows if text.strip()] or [("a", "x")]
    path = tmp_path / "table"
    path.write_bytes(written([("text", "label"), *rows], separator).encode(encoding))
    data = Labelled.open(
        str(path), text=["text"], label="label", encoding=encoding.removesuffix("-sig")
    )
    assert list(zip(data.texts, data.labels, strict=True)) == [(t.strip(), label) for t, label in rows]


# D2: the content decides, not the name --------------------------------------------------------------


@pytest.mark.parametrize("separator", SEPARATORS.values())
def test_d2_the_separator_is_found_in_the_content(separator):
    other = ";" if separator == "," else ","
    content = f"text{separator}label\nfine{other} day{separator}pos\nbad{other} day{separator}neg\n"
    found, bad = pairs(read_table("t", content))
    assert found == [(f"fine{other} day", "pos"), (f"bad{other} day", "neg")]
    assert bad == []
    without = content.partition("\n")[2] + f"my{other} day{separator}neg\n"
    assert pairs(read_table("t", without))[0][0] == (f"fine{other} day", "pos")


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_d2_a_declared_separator_is_heeded(first):
    table = read_table("t", f"{first}\ntext;label\nfine, day;pos\nbad, day;neg\n")
    assert texts(table, "text", "label") == [["fine, day", "pos"], ["bad, day", "neg"]]
    assert table.note == "semicolon-separated, header: text, label"


def test_d2_what_is_ambiguous_is_asked_and_can_be_said():
    content = "a;b,c\nd;e,f\n"
    with pytest.raises(ChargenError) as caught:
        read_table("t.csv", content)
    assert str(caught.value) == (
        "t.csv: the table can be read in 2 ways: comma-separated, its first row is 'a;b' and 'c'; "
        "semicolon-separated, its first row is 'a' and 'b,c'; say which with separator"
    )
    for name, cells in (("comma", ["a;b", "c"]), (";", ["a", "b,c"])):
        assert read_table("t", content, separator=name).rows[0].cells == cells
    assert read_table("t", "a:b\nc:d\n", separator=":").rows[1].cells == ["c", "d"]
    assert read_table("t", "a\tb\n", separator="\\t").rows[0].cells == ["a", "b"]


@pytest.mark.parametrize("separator", ["", "xx", '"', "\n", "comma,"])
def test_d2_a_separator_that_is_none_is_refused(separator):
    with pytest.raises(ChargenError, match="is not one character; set separator to tab, comma"):
        read_table("t", "a,b\n", separator=separator)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ('id,text,label\n1,"a, b",x\n', "comma-separated with quotes, header: id, text, label"),
        ("text\tlabel\na\tx\n", "tab-separated, header: text, label"),
        ("a\tx\nb\ty\n", "tab-separated, no header: the first row is a text like the others"),
        ('text|label\n"a|x\n"b" c|y\n', "pipe-separated without quotes, header: text, label"),
        ("'a, b';'x'\n'b';'y'\n", "semicolon-separated with single quotes, no header"),
        ('{"text": "a"}\n{"label": "x"}\n', "JSON lines, keys: text, label"),
        ("__label__x a\n__label__y b\n", "fastText's format, keys: label, text"),
        ("joke\nWhy, so?\nNo.\n", "one column without a separator"),
    ],
)
def test_d2_what_was_taken_is_said_in_one_line(content, note):
    assert read_table("t", content).note.startswith(note)


@pytest.mark.parametrize(
    ("first", "is_header"),
    [("review,stars", True), ("v1,v2", True), ("comment,topic", True), ("nice one,5", False)],
)
def test_d2_a_header_is_known_by_its_looks(first, is_header):
    table = read_table("t", first + "\ngood one,1\nbad one,2\nso so,1\nno,2\n")
    assert bool(table.header) == is_header


def test_d2_escapes_and_spaces_of_other_dialects_are_undone():
    content = 'text,label\n"no \\"x\\", y",neg\nz\\, z,pos\n'
    assert texts(read_table("t", content), "text") == [['no "x", y'], ["z, z"]]
    content = 'text, label\n"a, b", pos\nc, neg\n'
    assert pairs(read_table("t", content))[0] == [("a, b", "pos"), ("c", "neg")]
    content = 'text,label\n"C:\\dir\\",pos\n"a",neg\n'
    assert texts(read_table("t", content), "text") == [["C:\\dir\\"], ["a"]]


def test_d2_rows_that_differ_from_the_header_are_told_so():
    table = read_table("t", "text,label\nfine, day,pos\nbad, day,neg\nok,pos\n")
    assert [row.reason for row in table.bad] == ["3 columns, where the header has 2"] * 2


# D3: quotes between tabs ---------------------------------------------------------------------------


def test_d3_tabs_with_a_spreadsheets_quotes():
    table = read_table("t", '"two\nlines"\tpos\n"say ""hi"""\tneg\n')
    assert [row.cells for row in table.rows] == [["two\nlines", "pos"], ['say "hi"', "neg"]]
    assert [(row.line, row.lines) for row in table.rows] == [(1, 2), (3, 1)]


def test_d3_tabs_with_quotes_of_sentences():
    table = read_table("t", 'en\t"Yes," she said.\nde\t"ja\nen\t"no"\n')
    assert [row.cells[1] for row in table.rows] == ['"Yes," she said.', '"ja', '"no"']


def test_d3_a_spreadsheets_quotes_hold_although_one_is_open():
    content = 'text\tlabel\n"multi\nline"\tx\n"b ""q"""\ty\n"open\tx\nplain\ty\n'
    table = read_table("t", content)
    assert texts(table, "text") == [["multi\nline"], ['b "q"'], ["plain"]]
    assert [row.line for row in table.bad] == [5]


# D4: the columns that are taken ---------------------------------------------------------------------


def test_d4_nameless_and_empty_columns_are_ignored():
    content = "v1,v2,,\nham,hello,,\nspam,win,,\nham,you,,\n"
    assert pairs(read_table("t", content))[0] == [("hello", "ham"), ("win", "spam"), ("you", "ham")]
    table = read_table("t", content, requested=["v1", "v2"])
    assert texts(table, "v1", "v2") == [["ham", "hello"], ["spam", "win"], ["ham", "you"]]
    numbered = read_table("t", ",text,label\n0,fine,pos\n1,bad,neg\n")  # as pandas writes an index
    assert pairs(numbered)[0] == [("fine", "pos"), ("bad", "neg")]
    assert texts(numbered, "1") == [["0"], ["1"]]


def test_d4_two_columns_of_a_name_matter_only_where_it_is_meant():
    table = read_table("t", "id,id,text,label\n1,2,fine,pos\n3,4,bad,neg\n")
    assert pairs(table)[0] == [("fine", "pos"), ("bad", "neg")]
    with pytest.raises(ChargenError, match="two columns are named 'id'"):
        table.column("id")


def test_d4_a_constant_column_and_an_identifier_are_no_labels():
    content = "id,text,source,mood\n1,fine,web,pos\n2,bad,web,neg\n3,ok,web,pos\n"
    assert pairs(read_table("t", content))[0][0] == ("fine", "pos")
    with pytest.raises(ChargenError, match=r"no column .* 'source', all texts have the label 'web'"):
        read_table(
            "t", content.replace(",mood", "").replace(",pos", "").replace(",neg", "")
        ).guess_label()
    with pytest.raises(
        ChargenError, match="each has another value in every row; name the column with"
    ):
        read_table("t", "a,b\nc,d\n").guess_label()


def test_d4_known_classes_tell_the_label():
    table = read_table("t", "1,fine,pos\n2,bad,neg\n3,ok,pos2\n")
    assert table.guess_label(["neg", "pos", "1"]) == 2
    with pytest.raises(ChargenError, match="no column can be told"):
        table.guess_label(["other"])


def test_d4_a_column_that_is_mostly_empty_is_no_label():
    rows = [
        f"text {i},{['pos', 'neg', 'bad'][i % 3]},{'yes' if i % 9 == 0 else ''}\n" for i in range(30)
    ]
    assert pairs(read_table("t", "".join(rows)))[0][1] == ("text 1", "neg")


# D5 and D6: JSON ------------------------------------------------------------------------------------

ROWS = [{"text": "fine", "label": "pos"}, {"text": "bad", "label": "neg"}]


def test_d5_keys_of_all_lines_count():
    table = read_table("t", '{"label":"pos"}\n{"label":"neg","title":"bad"}\n')
    rows, bad = table.select({"text": [table.column("title")], "label": [table.guess_label()]})
    assert [values for _, values in rows] == [{"text": "bad", "label": "neg"}]
    assert [(row.line, row.reason) for row in bad] == [(1, "no 'title'")]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (json.dumps(ROWS), "a JSON array of objects"),
        (json.dumps(ROWS, indent=4), "a JSON array of objects"),
        ("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n", "a JSON array of objects"),
        (json.dumps({"data": ROWS}), "the JSON objects in 'data'"),
        (json.dumps({"version": "1", "rows": ROWS, "by": {"a": 1}}, indent=1), "objects in 'rows'"),
        (json.dumps({"text": ["fine", "bad"], "label": ["pos", "neg"]}), "a JSON object of columns"),
        ('{"text":{"0":"fine","1":"bad"},"label":{"0":"pos","1":"neg"}}', "a JSON object of columns"),
        ("\n".join(json.dumps(row, indent=2) for row in ROWS), "JSON objects one after another"),
        ("\ufeff" + ",\n".join(map(json.dumps, ROWS)), "JSON lines"),
    ],
)
def test_d6_json_is_read_in_its_usual_forms(content, form):
    table = read_table("t", content)
    assert pairs(table) == ([("fine", "pos"), ("bad", "neg")], [])
    assert form in table.note


def test_d6_a_broken_key_is_no_traceback():
    content = '{"da\nta": [\n{"text": "fine", "label": "pos"},\n{"text": "bad", "label": "neg"}\n]}'
    assert pairs(read_table("t", content))[0] == [("fine", "pos"), ("bad", "neg")]
    content = json.dumps({"k": ": [", "data": ROWS}).replace('"k": ', '"k":\n')
    assert pairs(read_table("t", content))[0] == [("fine", "pos"), ("bad", "neg")]


def test_d6_a_fault_in_an_array_costs_its_own_object():
    content = json.dumps([*ROWS, *ROWS], indent=2).replace('"bad",', '"bad"', 1)
    table = read_table("t", content)
    assert [(row.line, row.lines) for row in table.rows] == [(2, 4), (10, 4), (14, 4)]
    assert [(row.line, row.lines) for row in table.bad] == [(6, 4)]


def test_d6_a_fault_in_an_array_of_one_line_costs_its_own_object():
    content = json.dumps([*ROWS, *ROWS]).replace('"bad",', '"bad"', 1)
    table = read_table("t", content)
    assert texts(table, "text") == [["fine"], ["fine"], ["bad"]]
    assert [(row.line, row.entry) for row in table.bad] == [(1, 2)]
    with pytest.raises(ChargenError, match=r"t, line 1: not JSON .* in object 2"):
        refuse_or_note("t", table.bad, False)


def test_d6_json_of_anything_else_is_refused():
    with pytest.raises(ChargenError, match="t: this is a JSON array, but not of objects"):
        read_table("t", '["a", "b"]')
    with pytest.raises(ChargenError, match="several keys hold rows: 'train', 'test'; give a file"):
        read_table("t", json.dumps({"train": ROWS, "test": ROWS}))
    table = read_table("t", '{"label":"a","label":"b","text":"c"}\n{"label":"a","text":"c"}\n')
    assert [row.reason for row in table.bad] == ["not JSON (the key 'label' occurs twice at column 1)"]


def test_d6_a_missing_value_of_pandas_is_missing():
    table = read_table("t", '{"text": NaN, "label": "a"}\n{"text": "b", "label": "a"}\n')
    assert [row.reason for row in pairs(table)[1]] == ["no 'text'"]


# D7: what would fail later fails where the line is known --------------------------------------------


def test_d7_half_a_character_is_a_bad_row_where_it_is_used():
    content = '{"text":"half \\ud83d","label":"pos"}\n{"text":"ok","label":"neg","id":"\\ud83d"}\n'
    rows, bad = pairs(read_table("t", content))
    assert rows == [("ok", "neg")]
    assert [(row.line, row.reason) for row in bad] == [
        (1, "the text holds half a character (the surrogate U+D83D)")
    ]


# D15: fastText -------------------------------------------------------------------------------------


def test_d15_fasttexts_own_format():
    content = "__label__pos good, day\n__label__neg __label__sad bad\n\nnothing\n__label__pos\n"
    table = read_table("t", content)
    rows, bad = pairs(table)
    assert rows == [("good, day", "pos"), ("bad", "neg")]
    assert [row.reason for row in bad] == ["no label (__label__…)", "the text is empty"]
    assert table.remarks == ["1 lines have several labels: the first one is taken"]
    assert accounted(content, table) == [3]


def test_d15_its_labels_in_a_column_are_labels_like_others():
    table = read_table("t", "label\ttext\n__label__pos\tgood\n__label__neg\tbad\n")
    assert pairs(table)[0] == [("good", "__label__pos"), ("bad", "__label__neg")]


# A text that should have been a table --------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        'id,joke\n1,"one\ntwo"\n2,"a, b"\n3,c\n4,d\n',
        "text\tlabel\na\tx\nb\ty\n",
        "\n".join(map(json.dumps, ROWS)),
        json.dumps(ROWS, indent=2),
        "__label__x a\n__label__y b\n",
        "id,text\n" + "".join(f"{i},{'word ' * 50}\n" for i in range(1000)),
    ],
)
def test_d17_a_table_with_a_header_looks_like_one(content):
    assert re.search("header|keys", looks_like_table(content))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "Smith, John\nDoe, Jane\nRoe, Richard\n",
        "Anna\nBert\nCarla\n",
        "To be, or not to be,\nthat is the question:\nWhether 'tis nobler, in the mind\n",
        "import csv\n\nx, y = 1, 2\nprint(x, y)\nfor a, b in c:\n    pass\n",
        '{\n  "name": "x",\n  "version": "1"\n}\n',
        "Name: x\nText: y\n",
        "\x00\x01,\x02\n",
    ],
)
def test_d17_other_texts_do_not_look_like_a_table(content):
    assert looks_like_table(content) == ""
