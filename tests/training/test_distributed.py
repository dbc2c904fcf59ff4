"""Several processes learn what one would, and what is kept does not know how many they were."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from chargen import ChargenError, TextGenerator
from chargen.cli.options import option_name
from chargen.training.distributed import ALONE, Ranks, join

slow = pytest.mark.slow
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


@slow
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


@slow
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


@slow
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


@slow
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


@slow
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


# What torchrun would set -----------------------------------------------------------------------------

TORCHRUN = {
    "WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.fixture
def variables(monkeypatch):
    """Sets the variables that torchrun sets, some of them to other values or, for None, not at all."""

    def variables(**others):
        for name, value in (TORCHRUN | others).items():
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)

    return variables


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WORLD_SIZE", "x", "WORLD_SIZE is 'x', and must be a whole number from 1"),
        ("WORLD_SIZE", "0", "WORLD_SIZE is '0', and must be a whole number from 1"),
        ("WORLD_SIZE", "-2", "WORLD_SIZE is '-2'"),
        ("WORLD_SIZE", "2.0", "WORLD_SIZE is '2.0'"),
        ("WORLD_SIZE", "²", "WORLD_SIZE is '²'"),
        ("WORLD_SIZE", "9" * 30, "WORLD_SIZE is '999"),
        ("RANK", None, "WORLD_SIZE is set, but RANK is not"),
        ("RANK", "", "WORLD_SIZE is set, but RANK is not"),
        ("RANK", "2", "RANK is '2', and must be a whole number from 0 to 1"),
        ("RANK", "-1", "RANK is '-1'"),
        ("RANK", "y", "RANK is 'y'"),
        ("LOCAL_RANK", "z", "LOCAL_RANK is 'z'"),
        ("MASTER_ADDR", None, "WORLD_SIZE is set, but MASTER_ADDR is not"),
        ("MASTER_PORT", None, "WORLD_SIZE is set, but MASTER_PORT is not"),
        ("MASTER_PORT", "70000", "MASTER_PORT is '70000', and must be a whole number from 1 to 65535"),
        ("MASTER_PORT", "http", "MASTER_PORT is 'http'"),
    ],
)
def test_r12_variables_that_torchrun_would_not_set_are_one_sentence(variables, name, value, message):
    variables(**{name: value})
    with pytest.raises(ChargenError) as error, join():
        pass
    assert error.value.text(option_name).startswith(message)
    assert "start the processes with torchrun, or unset WORLD_SIZE" in error.value.text(option_name)


@pytest.mark.parametrize("size", [None, "", "1", " 1 "])
def test_without_torchrun_a_process_is_alone_whatever_else_is_set(variables, size):
    variables(WORLD_SIZE=size, RANK="7", MASTER_PORT="x")
    with join() as ranks:
        assert ranks is ALONE


def test_r12_the_command_line_says_it_in_one_line(run, variables):
    variables(RANK=None)
    status, out, err = run("train", "--steps", 1)
    assert (status, out) == (1, "")
    assert err.startswith("Error: WORLD_SIZE is set, but RANK is not; start the processes with")
    assert err.count("\n") == 1


def test_g8_more_processes_than_gpus_are_refused_before_anything_is_started(variables, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    variables(RANK="1", LOCAL_RANK="1")
    with pytest.raises(ChargenError) as error, join("auto"):
        pass
    assert error.value.text(option_name) == (
        "process 2 of this machine has no GPU of its own: there are 1; start 1 on it, or take "
        "--device cpu"
    )


def test_g8_a_metal_gpu_is_not_shared(variables):
    variables()
    with pytest.raises(ChargenError, match="2 processes cannot share a Metal GPU"), join("mps"):
        pass


@pytest.fixture
def group(monkeypatch):
    """Stands in for the group of processes; holds what it was made with."""
    calls = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: calls.update(device=index))
    monkeypatch.setattr(
        torch.distributed,
        "init_process_group",
        lambda backend, **more: calls.update(backend=backend, **more),
    )
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(
        torch.distributed, "all_reduce", lambda tensor: calls.update(sent=tensor.device.type)
    )
    return calls


@pytest.mark.parametrize(
    ("device", "backend"), [("auto", "cpu:gloo,cuda:nccl"), ("cuda", "cpu:gloo,cuda:nccl")]
)
def test_g8_gpus_exchange_gradients_and_cpus_decide(variables, group, device, backend):
    variables(RANK="1", LOCAL_RANK="1")
    with join(device) as ranks:
        assert (ranks.rank, ranks.size, ranks.local_rank) == (1, 2, 1)
        assert not ranks.any_rank(False)
    assert group["backend"] == backend
    assert group["device"] == 1
    assert group["sent"] == "cpu"


def test_g8_a_cpu_that_was_asked_for_uses_no_gpu(variables, group):
    variables()
    with join("cpu"):
        pass
    assert group["backend"] == "gloo"
    assert "device" not in group


def test_g8_processes_that_cannot_connect_say_why(variables, monkeypatch):
    def init_process_group(*_, **__):
        raise RuntimeError("The server socket has failed to listen on port 29500\nException …")

    monkeypatch.setattr(torch.distributed, "init_process_group", init_process_group)
    variables()
    with pytest.raises(ChargenError) as error, join("cpu"):
        pass
    assert str(error.value) == (
        "the 2 processes of this training cannot connect to each other: The server socket has failed "
        "to listen on port 29500"
    )


def test_g8_the_cause_is_quoted_where_another_process_seems_to_have_ended(monkeypatch):
    def all_reduce(tensor):
        raise RuntimeError("[gloo/pair.cc:538] Connection closed by peer\nand more")

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    with pytest.raises(ChargenError) as error:
        Ranks(0, 2).barrier()
    assert "has ended (Connection closed by peer); what was saved" in str(error.value)


# Two machines ----------------------------------------------------------------------------------------


def has_namespaces():
    """Whether this machine lets us make two network namespaces with a cable between them."""
    if not shutil.which("ip"):
        return False
    name = f"chargen{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "delete", name], check=True)
    return made


@pytest.fixture(params=["namespaces", "ports"])
def nodes(request):
    """Two machines: the commands that run something on each, and the address of the first.

    They are network namespaces, joined by a cable of their own. Where those cannot be made, they are
    two processes that meet at a port of this machine.
    """
    if request.param == "ports":
        if has_namespaces():
            pytest.skip("this machine has network namespaces, which are more like two machines")
        yield [[], []], "127.0.0.1"
        return
    if not has_namespaces():
        pytest.skip("this machine lets us make no network namespaces (that needs root and `ip`)")
    names = [f"chargen{os.getpid()}{side}" for side in "ab"]
    cables = [f"cg{os.getpid() % 10**6}{side}" for side in "ab"]

    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "address", "add", f"10.213.77.{number}/24", "dev", cable)
            for device in ("lo", cable):
                ip("-n", name, "link", "set", device, "up")
        prefixes = [
            ["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={cable}"]
            for name, cable in zip(names, cables, strict=True)
        ]
        yield prefixes, "10.213.77.1"
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.fixture
def launch_nodes(nodes, tmp_path, monkeypatch, verse):
    """Starts chargen on both machines, in one folder with a corpus."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "verse.txt").write_text(verse)
    prefixes, address = nodes

    def launch_nodes(*arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank, prefix in enumerate(prefixes):
            command = [*prefix, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
            command += ["--nproc-per-node", "1", "--node-rank", str(rank)]
            command += ["--master-addr", address, "--master-port", str(port)]
            command += ["-m", "chargen", *map(str, arguments)]
            options = {"stdout": -1, "stderr": -1, "text": True, "cwd": tmp_path}
            yield subprocess.Popen(command, start_new_session=True, **options)

    return lambda *arguments: list(launch_nodes(*arguments))


def descendants(pid):
    """Returns the numbers of a process and of all that it has started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], stdout=-1, text=True, check=True).stdout
    parents = dict(map(int, line.split()) for line in listed.splitlines())
    family = [pid]
    for parent in family:
        family += [child for child, above in parents.items() if above == parent]
    return family


@slow
@pytest.mark.parametrize("victim", [0, 1])
def test_two_machines_train_and_one_survives_the_death_of_the_other(
    launch_nodes, tmp_path, call, victim
):
    seldom = ("--save-every", 60)
    processes = launch_nodes("train", "verse.txt", *QUICK, *seldom, "-o", "m", "--steps", 1200)
    while all(process.poll() is None for process in processes):
        if (tmp_path / "m" / "manifest.json").exists():  # after the first evaluation
            break
        time.sleep(0.01)
    for pid in descendants(processes[victim].pid):
        os.kill(pid, signal.SIGKILL)
    errors = [process.communicate(timeout=120)[1] for process in processes]
    survivor = errors[1 - victim]
    assert survivor.count("Error: another process of this training has ended") == 1, survivor
    assert "what was saved before is complete; continue with --resume" in survivor
    assert "exitcode  : 1 " in survivor  # as torchrun reports the status of chargen
    assert TextGenerator.load(tmp_path / "m").generate(length=10, seed=1)
    before = len((tmp_path / "m" / "metrics.jsonl").read_text().splitlines())
    assert 0 < before < 12
    if victim == 0:
        status, _, err = call("train", "--resume", "-o", "m", "--steps", 400, *seldom)
    else:
        first, second = launch_nodes("train", "--resume", "-o", "m", "--steps", 400, *seldom)
        (_, err), (_, silent) = first.communicate(timeout=120), second.communicate(timeout=120)
        status = first.returncode or second.returncode
        assert "best at step" not in silent
    assert status == 0, err
    assert "best at step" in err
