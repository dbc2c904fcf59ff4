"""An error says what, shows the value and gives the next step, in the terms of each door."""

import ast
import pickle
import re
from pathlib import Path

import pytest
import torch

import chargen
from chargen import ChargenError
from chargen.cli.options import option_name
from chargen.errors import device_error, device_errors

ERROR = ChargenError("hidden_size is -1", "take a larger {hidden_size}, or {resume}")


def test_python_reads_the_librarys_terms():
    assert str(ERROR) == "hidden_size is -1; take a larger hidden_size, or Run.resume"
    assert str(ChargenError("it is empty")) == "it is empty"


def test_each_door_has_its_own_names():
    assert ERROR.text(option_name).endswith("; take a larger --hidden, or --resume")
    assert ERROR.text({"hidden_size": "Size", "resume": "Go on"}.get).endswith("Size, or Go on")


def test_a_hint_that_a_door_cannot_follow_is_left_out():
    assert ERROR.text({"hidden_size": "Size"}.get) == "hidden_size is -1"


def test_braces_of_a_value_are_no_terms():
    assert ChargenError("there is no {word}", "take {batch}").text(option_name) == (
        "there is no {word}; take --batch"
    )


def test_a_context_keeps_the_hint():
    assert ERROR.within("config.json").text(option_name).startswith("config.json: hidden_size is")
    assert ERROR.within("config.json").hint == ERROR.hint


def test_it_survives_a_pickle():
    again = pickle.loads(pickle.dumps(ERROR))
    assert (again.message, again.hint) == (ERROR.message, ERROR.hint)


RAISING = ("ChargenError", "DeviceError", "warn")
LIBRARY = [
    path for path in sorted(Path(chargen.__file__).parent.rglob("*.py")) if "cli" not in path.parts
]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_library_does_not_know_the_command_line(path):
    """An option or a command in a message would be wrong in Python and on the page."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in RAISING
    ]
    texts = [
        part.value
        for call in calls
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    assert [
        text for text in texts if re.search(r"(^|\W)--[a-z]|chargen (train|sample|eval)", text)
    ] == []


# What torch and NumPy raise where memory does not suffice, or a device fails ------------------------

CPU_MEMORY = [
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 130207744 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."),
    RuntimeError("std::bad_alloc"),
    RuntimeError("can't start new thread"),
    MemoryError(),
    MemoryError("Unable to allocate 3.64 TiB for an array with shape (1000000, 1000000)"),  # NumPy's
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ImportError("x.so: failed to map segment from shared object: Cannot allocate memory"),
]
GPU_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total …"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 1 GB)"),
]
GPU_FAILURES = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel …"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( … )`"),
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
    ImportError("No module named 'matplotlib'"),
    ImportError("x.so: failed to map segment from shared object: Operation not permitted"),
    ValueError("out of range"),
]


@pytest.mark.parametrize("error", CPU_MEMORY, ids=lambda error: str(error)[:30])
def test_r11_a_lack_of_memory_is_one_sentence(error):
    explained = device_error(error)
    assert explained.text(option_name) == "there is not enough memory; take a smaller model"


@pytest.mark.parametrize("error", GPU_MEMORY, ids=lambda error: str(error)[:30])
def test_g11_so_is_that_of_the_memory_of_a_gpu(error):
    with pytest.raises(ChargenError) as raised, device_errors("{batch}, {window} or {hidden_size}"):
        raise error
    assert raised.value.text(option_name) == (
        "the GPU's memory does not suffice; take a smaller --batch, --window or --hidden"
    )
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", GPU_FAILURES, ids=lambda error: str(error)[:30])
def test_g11_a_gpu_that_fails_is_quoted_with_the_way_on(error):
    explained = device_error(error)
    cause = str(error).splitlines()[0].rstrip(" .…)")
    assert explained.text(option_name).startswith(f"the GPU has failed: {cause}")
    assert explained.text(option_name).endswith("; continue with --resume and --device cpu")
    assert "\n" not in str(explained)


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: str(error)[:30])
def test_any_other_error_stays_what_it_is(error):
    assert device_error(error) is None
    with pytest.raises(type(error)) as raised, device_errors("model"):
        raise error
    assert raised.value is error
