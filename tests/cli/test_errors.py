"""The terms in the errors of the library have names on the command line, and these exist."""

import ast
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
import torch

import chargen
from chargen import ChargenError
from chargen.cli.main import main
from chargen.cli.options import option_name

ROOT = Path(chargen.__file__).parent


def strings(expression, module):
    """The literal parts of an expression, and of the values that its variables have in the module."""
    names = {part.id for part in ast.walk(expression) if isinstance(part, ast.Name)}
    values = [
        statement.value
        for statement in ast.walk(module)
        if isinstance(statement, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id in names for target in statement.targets)
    ]
    for part in (part for value in (expression, *values) for part in ast.walk(value)):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def terms():
    """Every {term} in the hint of a ChargenError that chargen raises, with the file it is in."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.parent.name in ("web", "tabs") and path.name != "server.py":
            continue  # the page shows these itself
        module = ast.parse(path.read_text(encoding="utf-8"))
        for call in ast.walk(module):
            name = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
            if name in ("ChargenError", "DeviceError", "device_errors"):
                hints = call.args[name != "device_errors" :]
                hints += [k.value for k in call.keywords if k.arg == "hint"]
                for text in (text for hint in hints for text in strings(hint, module)):
                    for term in re.findall(r"\{(\w+)\}", text):
                        yield path.relative_to(ROOT).as_posix(), term


def commands(group=main):
    """Every command that does something, and each group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


OPTIONS = {
    name: parameter
    for command in commands()
    for parameter in command.params
    for name in (*parameter.opts, *parameter.secondary_opts)
}
TERMS = sorted(set(terms()))


@pytest.mark.parametrize(("path", "term"), TERMS)
def test_every_term_of_a_hint_is_an_option_or_a_command(path, term):
    words = shlex.split(option_name(term).strip("`"))
    if words[0] == "chargen":
        command = main
        for word in words[1:]:
            command = command.get_command(click.Context(command), word)
            assert command is not None
        return
    assert words[0] in OPTIONS, f"{path} names {{{term}}}"
    if words[1:]:
        OPTIONS[words[0]].type.convert(words[1], None, None)


def test_an_error_of_the_library_reaches_a_person_with_the_names_of_options(run, monkeypatch):
    def refuse(*_):
        raise ChargenError("the model does not fit", "take a smaller {hidden_size}").within("poet")

    monkeypatch.setattr("chargen.generator.TextGenerator.load", refuse)
    status, _, err = run("info", "-m", "poet")
    assert status == 1
    assert err == "Error: poet: the model does not fit; take a smaller --hidden\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its address space")
def test_r11_too_little_memory_for_a_training_is_one_sentence(start):
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))

    with start("train", "--hidden", 1024, "--steps", 2, preexec_fn=limit) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.endswith(
        "Error: there is not enough memory; take a smaller --batch, --window or --hidden\n"
    )
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            "there is not enough memory; take a smaller model",
        ),
        (MemoryError(), "there is not enough memory; take a smaller model"),
        (
            torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with …"),
            "the GPU has failed: CUDA error: unspecified launch failure; continue with --resume and "
            "--device cpu",
        ),
    ],
)
def test_g11_r11_memory_and_devices_that_fail_are_one_sentence(run, monkeypatch, error, message):
    def load(*_):
        raise error

    monkeypatch.setattr(chargen.TextGenerator, "load", load)
    assert run("sample", "-m", "poet") == (1, "", f"Error: {message}\n")


def test_any_other_error_of_torch_is_a_defect_and_is_seen(run, monkeypatch):
    def load(*_):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(chargen.TextGenerator, "load", load)
    with pytest.raises(RuntimeError, match="shapes"):
        run("sample", "-m", "poet")
