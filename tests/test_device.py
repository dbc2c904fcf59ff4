"""Devices: which one is taken, and what a person hears of one that does not work."""

import pytest
import torch

from chargen import ChargenError, TextClassifier
from chargen.cli.options import option_name
from chargen.data.encoding import encode_labelled
from chargen.device import (
    agree,
    device_fault,
    device_notes,
    find_device,
    scales_gradients,
    to_device,
    trains_in_bf16,
)
from chargen.errors import DeviceError
from chargen.inspection.probe import final_states
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig

BROKEN = "no kernel image is available for execution on the device"


@pytest.fixture(autouse=True)
def tested_anew():
    device_fault.cache_clear()
    yield
    device_fault.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that torch finds, but cannot use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def to(module, *_):
        raise RuntimeError(f"CUDA error: {BROKEN}\nCompile with `TORCH_USE_CUDA_DSA`.")

    monkeypatch.setattr(torch.nn.Module, "to", to)


def test_g10_a_gpu_that_fails_a_small_training_is_not_taken(gpu):
    assert find_device("auto") == torch.device("cpu")
    assert device_notes("auto") == [f"the GPU cannot be used (CUDA error: {BROKEN}): taking the CPU"]
    assert device_notes("cpu") == []
    with pytest.raises(DeviceError) as error:
        find_device("cuda")
    assert error.value.text(option_name) == (
        f"the GPU cannot be used (CUDA error: {BROKEN}); take --device cpu"
    )


def test_g10_the_command_line_says_it_and_goes_on(run, monkeypatch, verse, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("chargen.device.device_fault", lambda *_: f"CUDA error: {BROKEN}")
    (tmp_path / "verse.txt").write_text(verse)
    training = ("verse.txt", "--steps", 3, "--hidden", 8, "--batch", 4, "--window", 16)
    note = f"note: the GPU cannot be used (CUDA error: {BROKEN}): taking the CPU"
    status, _, err = run("train", *training)
    assert status == 0
    assert err.count(note) == 1
    status, _, err = run("train", *training, "--device", "cuda")
    assert status == 1
    assert err.endswith("; take --device cpu\n")
    assert len([line for line in err.splitlines() if "cannot be used" in line]) == 1
    (tmp_path / "moods.csv").write_text("text,label\n" + "good,a\nbad,b\n" * 20)
    status, _, err = run("classify", "train", "moods.csv", "--steps", 2, "--hidden", 8)
    assert status == 0
    assert err.count(note) == 1


def test_a_gpu_that_works_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("chargen.device.device_fault", lambda *_: "")
    assert find_device("auto") == find_device("cuda") == torch.device("cuda")
    assert device_notes("auto") == []


def test_a_device_that_works_has_no_fault_and_no_randomness_is_used():
    before = torch.get_rng_state()
    assert device_fault("cpu", "fp32") == ""
    assert (device_fault("cpu", "bf16") == "") == trains_in_bf16("lstm")
    assert "fp16 trains on a CUDA GPU only" in device_fault("cpu", "fp16")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("step", ["forward", "backward", "qr"])
def test_each_part_of_a_training_is_tried(monkeypatch, step):
    def broken(*_, **__):
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")

    owner, name = {
        "forward": (torch.nn.LSTM, "forward"),
        "backward": (torch.Tensor, "backward"),
        "qr": (torch.linalg, "qr"),
    }[step]
    monkeypatch.setattr(owner, name, broken)
    assert device_fault("cpu", "fp32") == "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"


def test_a_device_that_computes_nonsense_is_not_taken(monkeypatch):
    def nonsense(matrix):
        return torch.full_like(matrix, float("nan")), matrix

    monkeypatch.setattr(torch.linalg, "qr", nonsense)
    assert device_fault("cpu", "fp32") == "its results are not finite"


def test_an_error_without_a_message_has_a_name(monkeypatch):
    def broken(*_):
        raise AssertionError

    monkeypatch.setattr(torch.linalg, "qr", broken)
    assert device_fault("cpu", "fp32") == "AssertionError"


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks what happens without a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_auto_takes_the_cpu():
    assert find_device("auto") == torch.device("cpu")
    assert device_notes("auto") == []
    for name in ("cuda", "mps"):
        with pytest.raises(ChargenError, match=r"no (CUDA|Metal) GPU") as error:
            find_device(name)
        assert error.value.text(option_name).endswith("; take --device cpu")


def test_g7_gradients_are_scaled_wherever_a_gpu_computes_in_half_precision():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert scales_gradients("fp16", cuda)
    assert scales_gradients("bf16", cuda)  # cuDNN's recurrent layers are in fp16 then, too
    assert not scales_gradients("fp32", cuda)
    assert not scales_gradients("bf16", cpu)
    assert not scales_gradients("fp32", cpu)


def test_a_tensor_for_the_cpu_is_not_copied():
    tensor = torch.ones(3)
    assert to_device(tensor, torch.device("cpu")) is tensor


@pytest.mark.parametrize(
    ("result", "expected", "same"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.001], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0, 0.0], [1.0, 1.0], False),
        ([1.0, 1.0], [0.0, 0.0], False),
        ([torch.inf, 1.0], [torch.inf, 1.0], True),
        ([torch.nan, 1.0], [torch.nan, 1.0], True),
        ([5.0, 1.0], [torch.inf, 1.0], False),
        ([torch.inf, 1.0], [5.0, 1.0], False),
        ([torch.nan, 1.0], [5.0, 1.0], False),
        ([5.0, 1.0], [torch.nan, 1.0], False),
    ],
)
def test_two_results_agree_where_their_distance_is_small(result, expected, same):
    assert agree(torch.tensor(result), torch.tensor(expected), 1e-3) == same


def test_g9_double_precision_is_left_to_the_cpu(monkeypatch, poet, moods):
    """A Metal GPU has none."""
    on_cpu, cpu, double = [], torch.Tensor.cpu, torch.Tensor.double

    def to_cpu(tensor):
        on_cpu.append(cpu(tensor))
        return on_cpu[-1]

    def to_double(tensor):
        assert any(tensor is seen for seen in on_cpu)
        return double(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", to_cpu)
    monkeypatch.setattr(torch.Tensor, "double", to_double)
    assert poet.score("a bird sings now").bits_per_character > 0
    reader = TextClassifier.new(moods, hidden_size=8)
    assert sum(reader.predict("the sea was good").values()) == pytest.approx(1)
    texts = encode_labelled(moods, reader.tokenizer, reader.classes)
    generator = LanguageModel.new(ModelConfig(len(reader.tokenizer), hidden_size=8), seed=0)
    assert len(final_states(generator, texts)) == len(moods)
