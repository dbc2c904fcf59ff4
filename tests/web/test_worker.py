"""The worker tells the page why a training failed, in one sentence."""

import io
import json

import pytest
import torch

from chargen.web import worker


@pytest.fixture
def work(monkeypatch, capsys, tmp_path):
    """Runs the worker with a training that raises an error; returns the events."""

    def work(error):
        def fail(*_):
            raise error

        job = {"kind": "generator", "folder": str(tmp_path / "m"), "source": None}
        job |= {"minutes": 1, "split_on": None}
        monkeypatch.setattr(worker, "NewTraining", fail)
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job) + "\n"))
        worker.main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return work


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory"),
        (MemoryError(), "there is not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), "the GPU's memory does not suffice"),
    ],
)
def test_r11_g11_a_lack_of_memory_is_one_sentence(work, error, message):
    assert work(error) == [{"failed": f"{message}; take a smaller model"}]


def test_any_other_error_is_a_defect(work):
    with pytest.raises(RuntimeError, match="shapes"):
        work(RuntimeError("shapes cannot be multiplied"))
