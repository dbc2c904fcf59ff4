"""A model goes to the Hugging Face Hub and comes back by its name; the Hub is a stand-in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chargen import ChargenError, TextClassifier, TextGenerator
from tests.storage.hub_server import hub

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home):
    with hub() as (url, handler):
        yield {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": "hf_secret"}, handler


def run(*command, env):
    command = [sys.executable, "-m", *map(str, command)]
    result = subprocess.run(command, env=os.environ | env, capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture(scope="module")
def uploaded(server, poet, moods, tmp_path_factory):
    """A generator with files of a training beside it, and a classifier, as a person uploads them."""
    folder = tmp_path_factory.mktemp("models")
    poet.save(folder / "poet")
    (folder / "poet" / "samples.txt").write_text("a sample")
    (folder / "poet" / "evil.py").write_text("raise SystemExit('this was run')")
    TextClassifier.new(moods, hidden_size=8).fit(moods, steps=3).save(folder / "moods")
    hf = Path(sys.executable).with_name("hf")
    for name in ("poet", "moods"):
        command = [hf, "upload", f"somebody/{name}", folder / name]
        subprocess.run(command, env=os.environ | server[0], check=True, capture_output=True)
    return folder


def test_a_model_is_pushed_and_pulled_by_its_name(server, uploaded, home):
    env, handler = server
    handler.requests.clear()
    plain = ("chargen", "sample", "-n", 40, "--seed", 1, "-m")
    expected = run(*plain, uploaded / "poet", env=env)
    assert run(*plain, "hf:somebody/poet", env=env)[:2] == expected[:2]
    assert expected[0] == 0
    assert not any("evil" in request or "samples" in request for request in handler.requests)
    status, out, _ = run("chargen", "info", "-m", "hf:somebody/poet@main", env=env)
    assert (status, "lstm, 2 layers" in out) == (0, True)
    status, out, _ = run(
        "chargen", "classify", "predict", "-m", "hf:somebody/moods", "the sea was good", env=env
    )
    assert (status, "glad" in out) == (0, True)


def test_what_was_downloaded_is_there_without_a_network(server, uploaded):
    env = server[0]
    nowhere = env | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    command = ("chargen", "sample", "-n", 10, "--seed", 1, "-m")
    assert run(*command, "hf:somebody/poet", env=env)[0] == 0
    assert run(*command, "hf:somebody/poet", env=nowhere)[0] == 0
    assert run(*command, "hf:somebody/poet", env=env | {"HF_HUB_OFFLINE": "1"})[0] == 0
    status, _, err = run(*command, "hf:somebody/else", env=nowhere)
    assert status == 1
    assert err.strip().splitlines()[-1] == (
        "Error: hf:somebody/else has not been downloaded yet, and the Hub cannot be reached; "
        "try again when there is a network"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:nobody/poet", "the Hub has no model 'nobody/poet', or only for those who are logged in"),
        ("hf:somebody/poet@v2", "the model 'somebody/poet' has no revision 'v2'"),
        ("hf:somebody/empty", "hf:somebody/empty is not a model of chargen: it has no manifest.json"),
        ("hf:somebody/moods", "holds a 'classifier', not a 'language-model'"),
        ("hf:somebody/broken", "model.safetensors is missing or was changed"),
    ],
)
def test_what_is_no_model_there_is_one_sentence(server, uploaded, name, message):
    env, handler = server
    handler.repositories["somebody/empty"] = {"notes.txt": b"nothing"}
    broken = dict(handler.repositories["somebody/poet"])
    broken["model.safetensors"] = broken["model.safetensors"][:-1] + b"\1"
    handler.repositories["somebody/broken"] = broken
    status, out, err = run("chargen", "sample", "-m", name, env=env)
    assert (status, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["hf:", "hf:poet", "hf:a/b/c", "hf:../x", "hf:a/b@", "hf:a b/c"])
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_asked(name):
    with pytest.raises(ChargenError, match="is no name of a model on the Hub"):
        TextGenerator.load(name)
    with pytest.raises(ChargenError, match="is no name of a model on the Hub"):
        TextClassifier.load(name)
