"""Trainings of the page: they run, stop, survive the page, and refuse what makes no sense."""

import json
import re
import time

import pytest
from gradio_client import Client

from chargen import TextGenerator

pytestmark = pytest.mark.slow


def test_a_text_is_learned_and_written_like(client, wait, refused, server, verse):
    status = client.predict(text=verse, name="verse", minutes=0.15, api_name="/train")
    assert status["state"] == "preparing"
    assert "one training at a time" in refused(
        client, text=verse, name="more", minutes=1, api_name="/train"
    )
    status = wait(client, "finished", "failed")
    assert status["state"] == "finished", status["message"]
    assert status["scores"][-1][1] < status["baselines"]["unigram model"]
    assert "verse" in client.predict(api_name="/models")["generators"]
    text = client.predict(prompt="a bird ", model="verse", length=60, seed=0, api_name="/write")
    assert re.match(r"a bird (sings|waits) (now|still)\n", text)
    assert "already" in refused(client, text=verse, name="verse", api_name="/train")
    kept = TextGenerator.load(server[1] / "checkpoints" / "verse")
    assert kept.generate("a bird ", length=60, seed=0) == text


def test_a_table_is_learned_and_judged_by(client, wait):
    rows = "".join(f"{'good day' if i % 2 else 'bad night'} {i},{i % 2}\n" for i in range(200))
    status = client.predict(table=rows, name="days", minutes=0.1, api_name="/train_classifier")
    status = wait(client, "finished", "failed")
    assert status["state"] == "finished", status["message"]
    assert sum(map(sum, status["confusion"])) == 20
    assert [(one["words"], one["texts"]) for one in status["by_length"]] == [("3-5", 20)]
    wrong = 20 - sum(status["confusion"][label][label] for label in (0, 1))
    assert len(status["mistakes"]) == min(10, wrong)
    classes = client.predict(text="good day 7", model="days", api_name="/classify")
    assert list(classes) == ["1", "0"]
    assert sum(classes.values()) == pytest.approx(1)


def test_a_training_is_stopped_with_what_it_learned(client, wait, server, verse, call):
    client.predict(text=verse * 40, name="stopped", minutes=60, api_name="/train")
    wait(client, "training")
    began = time.monotonic()
    client.predict(api_name="/stop_training")
    wait(client, "stopped")
    assert time.monotonic() - began < 5
    assert client.predict(model="stopped", length=10, api_name="/write")
    status, _, err = call(
        *("train", "--resume", "-o", server[1] / "checkpoints" / "stopped", "--minutes", "0.1"),
    )
    assert (status, "done" in err) == (0, True), err  # the terminal can go on with it


def test_a_page_that_is_killed_leaves_its_training_whole_and_not_at_work(
    wait, serve, tmp_path, verse, call
):
    with serve(tmp_path, "--port", "7865", ended=-9) as (url, process):
        client = Client(url, verbose=False)
        client.predict(text=verse * 40, name="orphan", minutes=60, api_name="/train")
        wait(client, "training")
        process.kill()
    deadline = time.monotonic() + 20
    while True:  # until the training has noticed, nobody else may go on with it
        command = ["train", "--resume", "-o", "checkpoints/orphan", "--minutes", "0.2"]
        status, _, err = call(*command)
        if status == 0 or time.monotonic() > deadline:
            break
        assert "another process" in err or "at work" in err, err
        time.sleep(0.5)
    assert (status, "done" in err) == (0, True), err


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "x" * 61, "nul\0", "/tmp/x", "~", "\n"]
)
def test_row_71_a_name_is_never_a_path(client, refused, verse, name):
    assert "cannot be a name" in refused(client, text=verse, name=name, api_name="/train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "short"}, "nothing to learn"),
        ({"text": "a" * 21_000_000}, ""),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 1e9}, "minutes"),
        ({"minutes": "x"}, "must be a number"),
        ({"split_on": "page"}, "split_on"),
    ],
)
def test_row_71_a_training_that_makes_no_sense_is_refused(client, refused, verse, arguments, message):
    wanted = {"text": verse, "name": "nonsense"} | arguments
    assert message in refused(client, api_name="/train", **wanted)
    assert client.predict(api_name="/training")["state"] not in ("preparing", "training")


def test_the_settings_of_a_stopped_training_can_be_read(server):
    state = sorted((server[1] / "checkpoints" / "stopped" / "resume").glob("state-*"))[-1]
    assert json.loads((state / "config.json").read_text())["settings"]["corpus"]
