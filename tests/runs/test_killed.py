"""A training that is killed at a random moment and resumed is the training that never was."""

import json
import random
import time

import pytest

TRAIN = (
    *("train", "verse.txt", "--steps", 300, "--hidden", 32, "--batch", 4, "--window", 24),
    *("--dropout", 0.1, "--save-every", 0, "--resume", "--out"),
)


def _left(folder):
    """All that a training leaves but the time that it took."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    metrics = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    files = ("model.safetensors", "tokenizer.json", "samples.txt")
    return metrics, [(folder / name).read_bytes() for name in files]


def _first_state(folder):
    while not list(folder.glob("resume/state-*0")):
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "times", [3, pytest.param(20, marks=pytest.mark.whole, id="20, the whole test")]
)
def test_killed_at_random_moments(times, verse, tmp_path, start, call):
    (tmp_path / "verse.txt").write_text(verse)
    with start(*TRAIN, "never") as process:
        _first_state(tmp_path / "never")
        began = time.monotonic()
        _, err = process.communicate()
    duration = time.monotonic() - began
    assert process.returncode == 0, err
    expected = _left(tmp_path / "never")
    rng, found = random.Random(), []
    for number in range(times):
        folder = tmp_path / f"killed-{number}"
        with start(*TRAIN, folder) as process:
            if number:  # the first one dies anywhere, before its first step, too
                _first_state(folder)
            time.sleep(rng.uniform(0, duration))
            process.kill()
            process.communicate()
        found.append(sorted(path.name for path in folder.glob("resume/*")))
        status, _, err = call(*TRAIN, folder)
        assert status == 0, err
        assert _left(folder) == expected, found[-1]
        names = {path.name for path in folder.iterdir()}
        assert names == {path.name for path in (tmp_path / "never").iterdir()}
    print(f"what each death left: {found}")
    assert all(found[1:])  # all but the first came after the first step
