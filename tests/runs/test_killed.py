"""A training that is killed at a random moment and resumed is the training that never was."""

import json
import random
import time

import pytest

KEPT = ("--save-every", 0, "--resume", "--out")
TRAIN = {
    "generator": (
        *("train", "verse.txt", "--steps", 300, "--hidden", 32, "--batch", 4, "--window", 24),
        *("--dropout", 0.1, *KEPT),
    ),
    "classifier": (
        *("classify", "train", "moods.tsv", "--steps", 150, "--hidden", 32, "--batch", 4, "--balance"),
        *KEPT,
    ),
}


def _left(folder):
    """All that a training leaves but the time that it took."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    metrics = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    # These have the time in them, or the name of the folder.
    written = {"metrics.jsonl", "config.json", "manifest.json", ".lock", "README.md"}
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in written)
    return metrics, {path.name: path.read_bytes() for path in files}


def _first_state(folder):
    while not list(folder.glob("resume/state-*0")):
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "times", [3, pytest.param(20, marks=pytest.mark.whole, id="20, the whole test")]
)
@pytest.mark.parametrize("kind", TRAIN)
def test_killed_at_random_moments(kind, times, verse, moods, tmp_path, start, call):
    (tmp_path / "verse.txt").write_text(verse)
    rows = zip(moods.texts, moods.labels, strict=True)
    (tmp_path / "moods.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    command = TRAIN[kind]
    with start(*command, "never") as process:
        _first_state(tmp_path / "never")
        began = time.monotonic()
        _, err = process.communicate()
    duration = time.monotonic() - began
    assert process.returncode == 0, err
    expected = _left(tmp_path / "never")
    rng, found = random.Random(), []
    for number in range(times):
        folder = tmp_path / f"killed-{number}"
        with start(*command, folder) as process:
            if number:  # the first one dies anywhere, before its first step, too
                _first_state(folder)
            time.sleep(rng.uniform(0, duration))
            process.kill()
            process.communicate()
        found.append(sorted(path.name for path in folder.glob("resume/*")))
        status, _, err = call(*command, folder)
        assert status == 0, err
        assert _left(folder) == expected, found[-1]
        names = {path.name for path in folder.iterdir()}
        assert names == {path.name for path in (tmp_path / "never").iterdir()}
    print(f"what each death left: {found}")
    assert all(found[1:])  # all but the first came after the first step
