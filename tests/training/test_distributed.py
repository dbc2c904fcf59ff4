"""Several processes learn what one would, and what is kept does not know how many they were."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from chargen import ChargenError, TextGenerator
from chargen.cli.options import option_name
from chargen.training.distributed import ALONE, Ranks

pytestmark = pytest.mark.slow
QUICK = ("--hidden", 16, "--batch", 4, "--window", 16, "--seed", 3, "--save-every", 0)


@pytest.fixture
def launch(tmp_path, monkeypatch, verse):
    """Starts chargen in several processes, in an empty folder with a corpus; in a `with` statement."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "verse.txt").write_text(verse)

    def launch(processes, *arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes), "-m", "chargen", *map(str, arguments)]
        options = {"stdout": -1, "stderr": -1, "text": True, "cwd": tmp_path}
        return subprocess.Popen(command, start_new_session=True, **options)

    return launch


@pytest.fixture
def train(launch):
    """Runs a training to its end; returns what it prints."""

    def train(processes, *arguments):
        with launch(processes, "train", "verse.txt", *QUICK, *arguments) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out, err

    return train


def weights(folder):
    return load_file(folder / "model.safetensors")


def largest_difference(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("generations", [1, 2])
def test_two_processes_learn_what_one_does(train, tmp_path, generations):
    found = {}
    options = ("--steps", 30, "--dropout", 0, "--generations", generations, "--json")
    for processes in (1, 2):
        out, err = train(processes, *options, "-o", f"m{processes}")
        found[processes] = json.loads(out)  # exactly one object, from the first process
        assert err.count("corpus   verse") == 1
    one, two = found[1], found[2]
    assert two["val_nats_per_token"] == pytest.approx(one["val_nats_per_token"], abs=1e-5)
    assert largest_difference(tmp_path / "m1", tmp_path / "m2") < 1e-4
    losses = [
        [json.loads(line)["training_nats_per_token"] for line in text.splitlines()]
        for text in ((tmp_path / m / "metrics.jsonl").read_text() for m in ("m1", "m2"))
    ]
    assert losses[1][:-1] == pytest.approx(losses[0][:-1], abs=1e-5)


def test_stopped_and_gone_on_with_by_as_many_or_fewer(launch, train, tmp_path):
    dropout = ("--dropout", 0.2)
    train(2, "--steps", 40, "-o", "whole", *dropout)
    for name in ("again", "fewer"):
        with launch(2, "train", "verse.txt", *QUICK, "--steps", 40, "-o", name, *dropout) as process:
            kept = tmp_path / name / "resume"
            while process.poll() is None and not list(kept.glob("state-000001[0-9]")):
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)
        assert TextGenerator.load(tmp_path / name)  # whole, whenever it was stopped
        state = load_file(sorted(kept.glob("state-*/state.safetensors"))[-1])
        assert state["state.0.0"].shape == (1, 4, 16)  # of all lanes, however many had read them
    train(2, "--resume", "-o", "again")
    assert largest_difference(tmp_path / "whole", tmp_path / "again") == 0
    train(1, "--resume", "-o", "fewer")
    assert largest_difference(tmp_path / "whole", tmp_path / "fewer") < 1e-3


def test_the_death_of_one_ends_all_and_leaves_a_sound_checkpoint(launch, train, tmp_path):
    seldom = ("--save-every", 60)
    with launch(2, "train", "verse.txt", *QUICK, "--steps", 1200, "-o", "m", *seldom) as process:
        while process.poll() is None and not (tmp_path / "m" / "manifest.json").exists():
            time.sleep(0.01)  # until the first evaluation
        children = subprocess.run(
            ["ps", "--ppid", str(process.pid), "-o", "pid="], stdout=-1, text=True, check=True
        ).stdout.split()
        assert len(children) == 2
        os.kill(int(children[1]), signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert TextGenerator.load(tmp_path / "m").generate(length=10, seed=1)
    before = len((tmp_path / "m" / "metrics.jsonl").read_text().splitlines())
    assert before < 12
    _, err = train(2, "--resume", "-o", "m", "--steps", 1210, *seldom)
    assert "best at step" in err


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are listed by Linux")
def test_no_thread_of_the_group_outlives_it(tmp_path):
    """One that did could abort the process while Python ends."""
    (tmp_path / "script.py").write_text(
        "import os, torch\n"
        "from pathlib import Path\n"
        "from chargen.training.distributed import join\n"
        "with join() as ranks:\n"
        "    import torch._dynamo  # what an optimizer imports\n"
        "    ranks.barrier()\n"
        "names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]\n"
        "assert not [name for name in names if 'gloo' in name], names\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*command, tmp_path / "script.py"], check=True, timeout=120)


def test_lanes_that_cannot_be_shared_are_said_once(launch):
    with launch(2, "train", "verse.txt", "--steps", 3, "--batch", 3, "--hidden", 8) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count("3 lanes cannot be shared by 2 processes") == 1
    assert "--batch" in err


def test_alone_everything_is_as_it_is():
    tensor = torch.ones(3)
    ALONE.average([tensor])
    ALONE.barrier()
    assert tensor.tolist() == [1, 1, 1]
    assert ALONE.broadcast(1, 2.5) == (1, 2.5)
    assert ALONE.broadcast_object(lambda: "x") == "x"
    assert ALONE.lanes(5) == slice(0, 5)
    assert [Ranks(rank, 3).lanes(6) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 6)]
    with pytest.raises(ChargenError) as error:
        Ranks(1, 3).lanes(4)
    assert "--batch that is a multiple of 3, such as 6" in error.value.text(option_name)
