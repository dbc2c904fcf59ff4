"""What writes does without torch, whose import takes longer than writing."""

import subprocess
import sys

import pytest

from chargen import TextGenerator
from chargen.model import Classifier, LanguageModel
from chargen.shapes import ClassifierConfig, ModelConfig, weight_shapes

HEAVY = "import sys; print(sorted({'torch', 'gradio'} & sys.modules.keys()))"
COMMAND = """
import sys
from chargen.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stopped:
    assert not stopped.code, stopped.code
"""


def imported(code, *arguments, **options):
    """The heavy packages that a new process has imported after some code."""
    command = [sys.executable, "-c", f"{code}\n{HEAVY}", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, **options)
    return result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "line",
    [
        "sample -n 20",
        "sample -n 20 --num 3 --top-p 0.9 --stop x --json",
        "sample -n 20 --clamp 1:3=0.5 --prompt The",
        "sample -n 20 --max-copy 12 --report-copies --corpus verse.txt",
        "info",
        "info --json",
        "inspect copies verse.txt --corpus verse.txt",
    ],
)
def test_a_command_that_writes_imports_no_torch(line, verse, tmp_path):
    (tmp_path / "verse.txt").write_text(verse)
    assert imported(COMMAND, *line.split(), cwd=tmp_path) == "[]"


def test_a_generator_that_was_loaded_writes_the_same_without_torch_as_with_it(poet, tmp_path):
    poet.save(tmp_path / "poet")
    code = """
import chargen
writer = chargen.TextGenerator.load("poet")
prefix = writer.read("the sea").read(" sings")
print([writer, writer.generate("the ", 200, seed=1), writer.generate_many("a", 3, 50, seed=2)])
print([prefix.generate(30, seed=4, top_k=3), list(prefix.expected())[:2]])
writer.save("copy")
"""
    assert imported(code, cwd=tmp_path) == "[]"
    assert (tmp_path / "copy/model.safetensors").read_bytes() == (
        tmp_path / "poet/model.safetensors"
    ).read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", "import torch\n" + code], capture_output=True, text=True, cwd=tmp_path
    )
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert plain.stdout == result.stdout != "", plain.stderr
    writer = TextGenerator.load(tmp_path / "poet")
    before = writer.generate("the ", 200, seed=1)
    assert isinstance(writer.model, LanguageModel)
    assert writer.generate("the ", 200, seed=1) == before == poet.generate("the ", 200, seed=1)


def test_a_model_that_was_asked_for_can_be_changed(poet, tmp_path):
    poet.save(tmp_path / "poet")
    writer = TextGenerator.load(tmp_path / "poet")
    before = writer.generate("the ", 100, seed=1)
    writer.model.head.weight.data.mul_(0.1)
    assert writer.generate("the ", 100, seed=1) != before
    assert TextGenerator.load(tmp_path / "poet").config == writer.model.config == writer.config


SHAPES = [
    ModelConfig(7, "lstm", 1, 5, 3),
    ModelConfig(7, "gru", 3, 5, 3),
    ModelConfig(300, "rnn", 2, 5, 3),
    ClassifierConfig(7, "lstm", 2, 5, 3, classes=4, pooling="attention"),
    ClassifierConfig(7, "gru", 2, 5, 3, bidirectional=True, classes=2, pooling="last"),
]


@pytest.mark.parametrize("config", SHAPES, ids=lambda config: config.summary())
def test_the_shapes_of_the_weights_are_those_of_the_model(config):
    kind = Classifier if isinstance(config, ClassifierConfig) else LanguageModel
    weights = dict(kind.new(config, seed=0).named_parameters())
    assert weight_shapes(config) == {name: tuple(weight.shape) for name, weight in weights.items()}
    assert list(weight_shapes(config)) == list(weights)
    assert config.parameters == sum(weight.numel() for weight in weights.values())
