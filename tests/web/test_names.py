"""W25: a name is in any letters; only what is dangerous as a folder's name is refused."""

import unicodedata

import pytest

from chargen.errors import ChargenError
from chargen.web.names import checked_name, free_name, name_for


@pytest.mark.parametrize(
    "name",
    ["日記", "हिन्दी", "Ça va (2)", "Ωμέγα 3.1", "été-2024", "می‌خواهم", "🐈 cats", "x" * 60, "a.b"],
)
def test_w25_letters_of_any_script_are_a_name(name, tmp_path):
    assert checked_name(f"  {name} ") == unicodedata.normalize("NFC", name)
    (tmp_path / checked_name(name)).mkdir()
    assert free_name(tmp_path, name).endswith("-2")


@pytest.mark.parametrize(
    "name",
    [
        *("../日記", "日/記", "日\\記", ".日記", "日記.", "-rf", "~", "a:b", "a*", "a?", 'a"', "a|b"),
        *("", " ", "..", "nul", "COM1", "aux.txt", "a\0", "a\nb", "\u202egpj", "a\ud800", "<a>"),
        *("x" * 61, "語" * 70),
    ],
)  # fmt: skip
def test_w25_what_is_dangerous_in_a_folders_name_is_refused(name):
    with pytest.raises(ChargenError, match="cannot be a name"):
        checked_name(name)


def test_a_file_gives_its_name_to_the_model():
    assert name_for("/tmp/gradio/a1/日記.txt") == "日記"
    assert name_for("what:is?.csv") == "what-is"
    assert name_for("...txt") == "my text"
    for path in ("a" * 300 + ".txt", "語" * 80, "con<>.txt"):
        checked_name(name_for(path))
