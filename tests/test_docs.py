"""The documents tell the truth: commands parse, options are described, snippets run, links work.

`python tests/test_docs.py` writes the list of files in docs/how-it-works.md anew.
"""

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from chargen.cli.main import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
HOW_IT_WORKS = ROOT / "docs" / "how-it-works.md"
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]

# The page that describes a command and all of its options.
PAGE_OF = {
    "train": "training.md",
    "sample": "writing.md",
    "eval": "training.md",
    "info": "files.md",
    "export": "export.md",
    "compress": "compressing.md",
    "decompress": "compressing.md",
    "fetch": "training.md",
    "app": "page.md",
    "classify train": "classifying.md",
    "classify predict": "classifying.md",
    "classify eval": "classifying.md",
    "classify compare": "classifying.md",
    "classify curve": "classifying.md",
    "classify probe": "classifying.md",
    "inspect surprise": "looking-inside.md",
    "inspect copies": "looking-inside.md",
    "inspect states": "looking-inside.md",
    "inspect gradients": "looking-inside.md",
}
_CHECKED = (click.Choice, click.IntRange, click.FloatRange)  # types that need no file
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LISTED = re.compile(r"(?<=<!-- files -->\n).*?(?=<!-- end of files -->)", re.S)


def commands(group: click.Group = main, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yields each command that does something, with its full name."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")
        else:
            yield prefix + name, command


COMMANDS = dict(commands())


def command_lines(path: Path) -> Iterator[str]:
    """Yields what a document tells a person to type, from its blocks and its inline code."""
    text = path.read_text(encoding="utf-8")
    blocks = [body for language, body in _FENCE.findall(text) if language in ("", "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    typed = [line for line in lines if re.match(r"\$ |chargen |torchrun |CHARGEN_", line)]
    inline = re.findall(r"`(chargen [^`]+)`", _FENCE.sub("", text))
    for line in (*typed, *(" ".join(code.split()) for code in inline)):
        for part in line.split("  #")[0].split(" | "):
            if found := re.search(r"\bchargen (?=[a-z])(.*)", part):
                yield found[1].replace("…", "x")


def first_sentence(path: Path) -> str:
    """Returns the first sentence of a file's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\.)(?:\s|$)", " ".join(docstring.split("\n\n")[0].split()))[0]


def file_list() -> str:
    """Returns the list of all files, each in the words of its first sentence, as Markdown."""
    rows = []
    for folder in sorted({path.parent for path in (ROOT / "chargen").rglob("*.py")}):
        name = folder.relative_to(ROOT).as_posix()
        rows.append(f"\n`{name}/`\n\n| file | what it is for |\n|---|---|\n")
        for path in sorted(folder.glob("*.py")):
            if (sentence := first_sentence(path)) or path.name != "__init__.py":
                rows.append(f"| `{path.name}` | {sentence} |\n")
    return "".join(rows) + "\n"


def refresh() -> None:
    """Writes the list of files into docs/how-it-works.md."""
    text = HOW_IT_WORKS.read_text(encoding="utf-8")
    HOW_IT_WORKS.write_text(_LISTED.sub(lambda _: file_list(), text), encoding="utf-8")


@pytest.mark.slow
def test_the_snippets_run(verse, tmp_path, monkeypatch, capsys):
    pages = (README, ROOT / "docs" / "python.md")
    blocks = [b for page in pages for b in _FENCE.findall(page.read_text(encoding="utf-8"))]
    snippet = "".join(body for language, body in blocks if language == "python")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data", tmp_path / "data")
    # Seconds instead of minutes, and prompts in characters that the small text has.
    quick = re.sub(r"minutes=[\d.]+", "steps=12", snippet).replace("hidden_size=256", "hidden_size=16")
    quick = re.sub(r'"(ROMEO:|JULIET:|To be, or no[tr] to be|\\nI )"', '"a bird "', quick)
    assert "ROMEO" not in quick
    exec(quick, {"text": verse})
    assert "12 " in capsys.readouterr().out


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_line_is_one_that_chargen_understands(path):
    for line in command_lines(path):
        words = shlex.split(line)
        command, parents = main, []
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            parents.append(words.pop(0))
            command = command.get_command(click.Context(command), parents[-1])
            assert command is not None, line
        # The files need not exist, so only values that have choices or a range are checked.
        context = click.Context(command, info_name=" ".join(parents))
        values, _, _ = command.make_parser(context).parse_args(words)
        for parameter in command.params:
            value = values.get(parameter.name)
            if isinstance(value, str) and isinstance(parameter.type, _CHECKED):
                parameter.type.convert(value, parameter, context)


def test_command_lines_are_found_in_all_their_forms():
    found = [line for page in PAGES for line in command_lines(page)]
    assert len(found) > 60
    assert any(line.startswith("classify predict --json") for line in found)  # behind a pipe
    assert "train corpus.txt" in found  # behind torchrun and a variable


def test_every_command_has_its_page_and_heading():
    assert set(PAGE_OF) == set(COMMANDS)
    for name, page in PAGE_OF.items():
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert re.search(rf"^#.*`chargen {name}`$", text, re.M), f"{page} has no heading for {name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described_on_the_page_of_its_command(name):
    text = (ROOT / "docs" / PAGE_OF[name]).read_text(encoding="utf-8")
    for parameter in COMMANDS[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                assert re.search(rf"`[^`\n]*{option}(?![\w-])", text), f"{option} of chargen {name}"


def test_the_readme_fits_a_page_and_names_every_command():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    for name in main.list_commands(click.Context(main)):
        assert f"| `chargen {name}` |" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_picture_leads_somewhere(path):
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


def anchors(path: Path) -> set[str]:
    """Returns the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_packages_are_in_the_order_that_is_checked():
    layers = PROJECT.split("layers = [")[1].split("]")[0]
    contract = re.findall(r'"chargen\.(\w+)"', layers)
    text = HOW_IT_WORKS.read_text(encoding="utf-8")
    text = text.split("## The packages")[1].split("## The files")[0]
    shown = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert [name for name in shown if name in contract] == contract


def test_the_list_of_files_is_in_the_words_of_the_files():
    listed = _LISTED.search(HOW_IT_WORKS.read_text(encoding="utf-8"))
    assert listed
    assert listed[0] == file_list(), "run: python tests/test_docs.py"


if __name__ == "__main__":
    refresh()
