"""The table of faults and bad inputs: what may go wrong, by number, and what chargen then does.

Each test says which rows of the table it stands for; the last test checks that no row is forgotten.
"E1" is exit status 1 with one line that names the cause, "E2" is wrong usage. Rows that wait for a
part of chargen that does not exist yet are at the end, with the name of what they wait for.
"""

import ctypes
import errno
import io
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from chargen import ChargenError, Run, Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.model import LanguageModel
from chargen.runs.saved import state_folders
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig

QUICK = ["--steps", 3, "--hidden", 16, "--batch", 4, "--window", 16]
LONG = ["--steps", 100_000, "--hidden", 16, "--batch", 4, "--window", 16, "--save-every", 0]

TABLE: dict[int, str] = {}
ELSEWHERE = {"tests/web/test_api.py and, for 75 and 78, tests/web/test_page.py": [*range(71, 80)]}
WAITING = {
    "writing by a pattern (no --regex)": [39, 40],
    "a server with OpenAI's interface (not planned)": [80],
    "training in several processes (not planned)": [83, 84],
}


def row(*numbers, what):
    """Names the rows of the table that a test stands for."""
    TABLE.update(dict.fromkeys(numbers, what))
    return lambda test: test


@pytest.fixture
def files(tmp_path, verse):
    """Writes a file into the folder that the command runs in."""

    def write(name, content):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return name

    write("verse.txt", verse)
    return write


@pytest.fixture
def model(poet, tmp_path):
    poet.save(tmp_path / "poet")
    return tmp_path / "poet"


def plain(status, out, err, expected, *words):
    """One message for a person: the status, the words, no traceback, nothing on stdout."""
    assert status == expected, err
    assert out == ""
    assert "Traceback" not in err
    assert sum(line.startswith("Error:") for line in err.splitlines()) == 1
    for word in words:
        assert re.search(word, err), err


# Corpora ----------------------------------------------------------------------------------------


@row(1, what="missing path: E2, named")
@row(26, what="dangling link, loop of links: E2")
@pytest.mark.parametrize("name", ["nope.txt", "dangling.txt", "loop.txt"])
def test_a_corpus_that_is_not_there(run, tmp_path, name):
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    plain(*run("train", name), 2, f"no file or folder '{name}'")
    plain(*run("eval", name), 2, f"no file or folder '{name}'")
    assert not (tmp_path / "checkpoints").exists()


@row(2, what="a folder: its text files")
def test_a_folder_is_a_corpus(run, tmp_path, verse):
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "one.txt").write_text(verse)
    status, _, err = run("train", "poems", *QUICK)
    assert status == 0
    assert "1 text files in poems" in err


@row(4, 5, 7, what="empty, one character, too short: E1 with the numbers, nothing left behind")
@pytest.mark.parametrize("text", ["", "a", "fifty characters are not enough to learn from, no."])
def test_a_corpus_too_short(run, files, tmp_path, text):
    status = run("train", files("short.txt", text), "--out", "new")
    plain(*status, 1, f"{len(text)} tokens.*at least 64" if text else "the text is empty")
    assert not (tmp_path / "new").exists()


@row(6, what="one letter ten thousand times: learned, written, scored")
def test_a_corpus_of_one_letter(run, files):
    files("a.txt", "a" * 10_000)
    status, out, _ = run("train", "a.txt", *QUICK, "--json")
    assert status == 0
    assert json.loads(out)["val_bits_per_character"] == 0
    assert run("sample", "-n", 9, "--seed", 1)[1].strip() == "a" * 9
    assert json.loads(run("eval", "a.txt", "--json")[1])["bits_per_character"] == 0


@row(7, what="shorter than the lanes and windows asked for: smaller ones are chosen, and said")
def test_a_short_corpus_gets_short_windows(run, files):
    status, _, err = run("train", files("short.txt", "to be or not to be. " * 20), "--steps", 3)
    assert status == 0
    assert re.search(r"\b[12] lanes × \d\d characters,", err)


@row(8, what="nothing left to validate on: said, no score, no division by zero")
def test_a_validation_part_of_nothing(run, files):
    files("short.txt", "to be or not to be, " * 5)
    status, out, err = run("train", "short.txt", "--val-fraction", 0.01, *QUICK, "--json")
    assert status == 0
    assert "there will be no score" in err
    assert json.loads(out)["val_bits_per_character"] is None
    assert run("sample", "-n", 3)[0] == 0
    assert run("info")[0] == 0


@pytest.mark.slow
@row(9, 13, what="invalid or cut UTF-8: E1 with the byte's offset and a way on")
@row(10, what="Latin-1: the same; works with --encoding")
@pytest.mark.parametrize(("data", "offset"), [(b"abc\xff\xfe", 3), (b"caf\xe9 nu", 3), (b"a\xc3", 1)])
def test_a_corpus_that_is_not_utf8(run, files, data, offset):
    status = run("train", files("latin.txt", data))
    plain(*status, 1, rf"latin\.txt is not utf-8: the byte 0x\w\w at offset {offset}", "--encoding")
    files("latin.txt", b"caf\xe9 noir\n" * 100)
    assert run("train", "latin.txt", "--encoding", "latin-1", *QUICK)[0] == 0
    assert "é" in run("info")[1]


@row(11, what="UTF-8 byte-order mark: dropped")
@row(15, what="CRLF and CR become LF, from every door")
def test_marks_and_newlines(run, files):
    files("dos.txt", b"\xef\xbb\xbf" + b"to be\r\nor not\rto be\n" * 30)
    status, _, err = run("train", "dos.txt", *QUICK)
    assert status == 0
    assert "8 characters: newline space b e n o r t" in err
    status, _, piped = run("train", "-", *QUICK, stdin=b"to be\r\nor not\rto be\n" * 30)
    assert "8 characters: newline space b e n o r t" in piped


@row(12, what="UTF-16: E1 with the option that reads it")
@row(17, 24, what="PNG, program, archive, bomb: E1, never unpacked")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("some text".encode("utf-16"), "looks like UTF-16.*--encoding utf-16"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a text but a PNG image"),
        (b"\x7fELF" + bytes(100), "not a text but a program"),
        (b"\x1f\x8b" + bytes(100), "not a text but gzip-compressed"),
        (b"PK\x03\x04" + bytes(100), "not a text but a zip archive"),
        (b"text, then\0a NUL", "not a text but a binary file"),
    ],
)
def test_a_corpus_that_is_no_text(run, files, data, words):
    plain(*run("train", files("file.txt", data)), 1, words)
    plain(*run("train", "-", stdin=data), 1, words)


@row(14, what="a character on the border of two chunks is whole")
def test_characters_on_the_border_of_chunks(files, tmp_path):
    text = "日" * 400_000  # 3 bytes each: one of them lies across the first mebibyte
    files("long.txt", text)
    assert "".join(Text.open([str(tmp_path / "long.txt")]).pieces()) == text


@pytest.mark.slow
@row(16, what="control characters are kept, and do not reach a terminal")
def test_control_characters_do_not_reach_a_terminal(call, start, files):
    files("bells.txt", "ding \a\x1b[31m dong\n" * 200)
    assert call("train", "bells.txt", *QUICK)[0] == 0
    for more in ([], ["--num", 2]):
        ours, theirs = pty.openpty()
        with start("sample", "-n", 300, "--seed", 1, *more, stdout=theirs) as process:
            os.close(theirs)
            written = b""
            while process.poll() is None or b"\n" not in written:
                try:
                    written += os.read(ours, 10_000)
                except OSError:  # the other end is closed
                    break
        os.close(ours)
        assert "␇".encode() in written
        assert not {b"\a", b"\x1b"} & {bytes([byte]) for byte in written}


UGLY = "👨‍👩‍👧 e\u0301 שלום\u2028\x85\x0b\x0c\u200d"


@row(18, what="emoji, combining marks, right to left: kept exactly")
@row(19, what="other line separators are ordinary characters")
@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_ugly_characters_are_kept(files, tmp_path, kind):
    files("ugly.txt", (UGLY + "\n") * 50)
    corpus = prepare(Text.open([str(tmp_path / "ugly.txt")]), kind=kind, vocab_size=320)
    ids = [*corpus.training, *corpus.validation]
    assert corpus.tokenizer.decode(ids) == (UGLY + "\n") * 50


def _peak(process):
    """The most memory that a process had, in bytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@row(20, what="one line of 100 MB: in a few times its size")
@pytest.mark.slow
@pytest.mark.parametrize("size", [10**7, pytest.param(10**8, marks=pytest.mark.whole)])
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_one_endless_line(start, files, size, kind):
    words = random.Random(0).choices(
        ["the", "sea", "and", "a", "bird", "sing", "now", "or", "wait"], k=50_000
    )
    line = " ".join(words)
    files("short.txt", line[:1000])
    files("long.txt", (line * (size // len(line) + 1))[:size])
    options = ["--tokenizer", kind, "--vocab-size", 320, *QUICK]
    peaks = []
    for name in ("short.txt", "long.txt"):
        with start("train", name, *options, stdout=-3, stderr=-3) as process:
            peaks.append(_peak(process))
    assert peaks[1] - peaks[0] < 10 * size


@row(21, what="a hundred thousand different characters: E1 with a way on")
def test_a_corpus_of_too_many_characters(run, files):
    text = "".join(chr(code) for code in range(0x20, 0x1A000) if not 0xD800 <= code < 0xE000)
    plain(*run("train", files("all.txt", text * 2)), 1, r"different characters.*--tokenizer")


@row(22, what="a pipe is read like a file")
def test_a_pipe(run, files, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    data = (tmp_path / "verse.txt").read_bytes()
    feeder = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(data))
    feeder.start()
    _, piped, _ = run("train", "pipe", *QUICK, "--json")
    feeder.join()
    _, read, _ = run("train", "verse.txt", *QUICK, "--json")
    assert json.loads(piped)["val_nats_per_token"] == json.loads(read)["val_nats_per_token"]


@row(23, what="a device or pipe without end: E1 at a limit")
def test_a_pipe_without_end(run, monkeypatch):
    plain(*run("train", "/dev/zero"), 1, "/dev/zero is not a text")
    monkeypatch.setattr("chargen.data.text.LONGEST_STREAM", 3_000_000)
    status = run("train", "-", stdin=b"yes\n" * 2_000_000)
    plain(*status, 1, "standard input did not end within 0 GB.*write it to a file")


@pytest.mark.slow
def test_r14_a_closed_standard_input(start, files, tmp_path):
    """What `chargen … - <&-` starts: a process without standard input."""
    options = {"stdin": None, "preexec_fn": lambda: os.close(0)}
    files("verse.txt", "the sea sings now\n" * 100)
    with start("train", "verse.txt", *QUICK) as process:
        process.communicate()
    for command in (
        ["train", "-"],
        ["eval", "-"],
        ["sample", "--prompt-file", "-"],
        ["classify", "train", "-"],
        ["inspect", "surprise", "-"],
    ):
        with start(*command, **options) as process:
            out, err = process.communicate(timeout=120)
        plain(process.returncode, out, err, 1, "closed")


def test_r18_a_file_that_breaks_off_is_named(run, files, monkeypatch):
    """A disk that fails in the middle, wherever a file is read."""
    monkeypatch.setattr("chargen.data.text._CHUNK", 64)
    read = io.BufferedReader.read

    def fail(file, *size):
        if str(file.name).endswith("verse.txt") and file.tell() >= 64:
            raise OSError(errno.EIO, "Input/output error")
        return read(file, *size)

    class Broken(io.BufferedReader):
        read = fail

    path_open = Path.open

    def opened(path, mode="r", *arguments, **options):
        file = path_open(path, mode, *arguments, **options)
        return Broken(file.detach()) if mode == "rb" else file

    monkeypatch.setattr(Path, "open", opened)
    for command in (["train"], ["eval"], ["inspect", "surprise"], ["classify", "train"]):
        plain(*run(*command, "verse.txt"), 1, r"verse\.txt cannot be read: Input/output error")


@pytest.mark.parametrize(("option", "count"), [("--batch", 100_000), ("--window", 50_000)])
def test_r19_more_lanes_than_characters_are_refused_at_once(run, files, option, count):
    status = run("train", "verse.txt", option, count, "--minutes", 1)
    plain(*status, 1, rf"{option[2:]} of {count:,} is larger than the training part.*{option}")


def test_r19_a_step_that_reads_the_text_more_than_once_is_said(run, files):
    _, _, err = run("train", "verse.txt", "--batch", 400, "--window", 100, "--steps", 1, "--hidden", 8)
    assert re.search(r"passes, [2-9]\.\d at each step", err)


def test_r19_a_tokenizer_that_cannot_learn_says_so_in_our_words(run, files):
    status = run("train", files("empty.txt", "\n" * 5000), "--tokenizer", "bpe")
    plain(*status, 1, "could not learn 1024 pieces from this text of 1 different characters; ")
    assert ".cc" not in status[2]


def test_r19_lines_of_a_log_stay_whole_after_a_torn_one(run, files, tmp_path):
    assert run("train", "verse.txt", *QUICK, "-o", "m")[0] == 0
    log = tmp_path / "m" / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[:-30])  # as a full disk leaves it
    whole = log.read_bytes().count(b"\n")
    assert run("train", "--resume", "-o", "m", "--steps", 6)[0] == 0
    *lines, last = log.read_text().splitlines()[whole + 1 :]
    assert all(json.loads(line)["step"] for line in [*lines, last])


# Options ----------------------------------------------------------------------------------------


@row(27, what="nan, inf, -1 by option or variable: E2")
@row(28, what="sizes and budgets of 0: E2")
@row(29, what="seeds -1, 2**64, abc: E2")
@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--lr", ["nan", "inf", "-1", "0"]),
        ("--dropout", ["nan", "-1", "1"]),
        ("--minutes", ["nan", "inf", "-1", "0"]),
        ("--epochs", ["nan", "-inf"]),
        ("--val-fraction", ["nan", "inf", "-1", "1"]),
        ("--save-every", ["nan", "inf", "-1"]),
        ("--steps", ["0", "-1", "1.5", "nan"]),
        ("--batch", ["0"]),
        ("--window", ["0"]),
        ("--hidden", ["0"]),
        ("--layers", ["0"]),
        ("--embedding", ["0"]),
        ("--seed", ["-1", str(2**64), "abc"]),
    ],
)
def test_numbers_that_are_none(run, files, option, values):
    for value in values:
        plain(*run("train", "verse.txt", f"{option}={value}"), 2, option)
        variable = f"CHARGEN_TRAIN_{option[2:].replace('-', '_').upper()}"
        plain(*run("train", "verse.txt", env={variable: value}), 2, variable)


@row(30, what="a model beyond all memory: E1 with its size, before training")
@pytest.mark.parametrize("hidden", [30_000, 10**6, 10**9])
def test_a_model_beyond_all_memory(run, files, tmp_path, hidden):
    plain(*run("train", "verse.txt", "--hidden", hidden), 1, r"needs about [\d,.]+ GB", "--hidden")
    assert not (tmp_path / "checkpoints").exists()


@row(31, what="--device cuda without one: E1; auto is the CPU")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(run, files):
    plain(*run("train", "verse.txt", "--device", "cuda"), 1, "no CUDA GPU.*--device cpu")


@row(32, what="an output folder that is a file, or cannot be written: E1 before the first step")
def test_an_output_folder_that_cannot_be(run, files, tmp_path):
    plain(*run("train", "verse.txt", "--out", "verse.txt", *QUICK), 1, "is a file")
    plain(*run("train", "verse.txt", "--out", "verse.txt/x", *QUICK), 1, "cannot be written")
    plain(*run("train", "verse.txt", "--out", "/proc/chargen", *QUICK), 1, "cannot be written")


@pytest.mark.slow
@row(3, what="a corpus that may not be read: E1")
@row(32, what="a read-only place: E1 before the first step")
def test_places_that_permissions_close(call, files, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "secret.txt").write_text("secret " * 100)
    (tmp_path / "secret.txt").chmod(0)
    with _bound_by_permissions() as bound:
        status = call("train", "verse.txt", "--out", "locked/model", *QUICK, preexec_fn=bound)
        plain(*status, 1, r"locked/model cannot be written: Permission denied")
        status = call("train", "secret.txt", *QUICK, preexec_fn=bound)
        plain(*status, 1, r"secret\.txt cannot be read: Permission denied")
    assert not list((tmp_path / "locked").iterdir())


@contextmanager
def _bound_by_permissions():
    """What a process does before it starts, so that permissions bind it even if root starts it."""

    def give_up_privileges():
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                raise OSError

    libc = ctypes.CDLL(None)
    try:
        yield give_up_privileges if os.geteuid() == 0 else None
    except subprocess.SubprocessError:
        pytest.skip("root may not give up its privileges here")


@row(33, what="garbage in a variable: E2, which names it")
def test_garbage_in_a_variable(run, files):
    status = run("train", "verse.txt", env={"CHARGEN_TRAIN_STEPS": "x"})
    plain(*status, 2, "CHARGEN_TRAIN_STEPS")


# Sampling ---------------------------------------------------------------------------------------


@row(34, what="a character never seen: E1 with its name and a way on; --unknown skip")
@row(35, what="an empty prompt: works")
@row(36, what="temperature 0: always the same, no NaN")
@row(37, what="extreme temperatures and narrowings: text or E2, never a fault of the draw")
@row(38, what="length 0 and 1")
@row(43, what="the same seed: the same text from everywhere")
def test_sampling_at_the_edges(run, model, poet):
    plain(*run("sample", "-m", model, "-p", "日"), 1, r"'日' \(U\+65E5", "--unknown skip")
    assert run("sample", "-m", model, "-p", "", "-n", 5, "--seed", 1)[0] == 0
    greedy = [run("sample", "-m", model, "-n", 50, "--temperature", 0, "--seed", s)[1] for s in (1, 2)]
    assert greedy[0] == greedy[1]
    for option, value in [
        *(("--temperature", t) for t in ("1e-9", "1e9", "1e-300", "1e300")),
        *(("--top-k", 10**6), ("--top-p", "1e-9"), ("--top-p", 1), ("--min-p", 1), ("--min-p", 0)),
    ]:
        status, out, err = run("sample", "-m", model, "-n", 20, "--seed", 1, option, value)
        assert (status, len(out)) == (0, 21), err
    for option, value in [("--top-k", 0), ("--top-p", 0), ("--top-p", 1.5), ("--temperature", "nan")]:
        plain(*run("sample", "-m", model, option, value), 2, option)
    assert run("sample", "-m", model, "-n", 0, "--seed", 1)[1] == "\n"
    assert len(run("sample", "-m", model, "-n", 1, "--seed", 1)[1]) == 2
    written = run("sample", "-m", model, "-n", 99, "--seed", 7)[1]
    assert written == run("sample", "-m", model, "-n", 99, "--seed", 7)[1]
    assert written == poet.generate(length=99, seed=7) + "\n"


@row(38, what="a million characters in flat memory")
@pytest.mark.slow
@pytest.mark.parametrize("length", [10**5, pytest.param(10**6, marks=pytest.mark.whole)])
def test_a_long_text_takes_no_more_memory_than_a_short_one(start, model, length):
    peaks = []
    for n in (1000, length):
        with start("sample", "-m", model, "-n", n, "--seed", 1, stdout=-3, stderr=-3) as process:
            peaks.append(_peak(process))
    assert peaks[1] - peaks[0] < 20e6


@pytest.mark.slow
@row(41, what="stdout closed by its reader: the end, at once and quietly")
def test_a_reader_who_leaves(start, model):
    with start("sample", "-m", model, "-n", 10**7, "--seed", 1) as process:
        assert process.stdout.read(20)
        process.stdout.close()
        began = time.monotonic()
        process.wait(timeout=30)
        assert time.monotonic() - began < 5  # a second, with room for a busy machine
        assert process.stderr.read() == ""


@pytest.mark.slow
@row(42, what="stdout full: E1, one line")
@pytest.mark.parametrize(
    "command", [["sample", "--seed", 1], ["info"], ["info", "--json"], ["--help"]]
)
def test_a_full_disk_under_stdout(call, model, command):
    command = [*command, "-m", model] if command != ["--help"] else command
    with open("/dev/full", "w") as full:
        status, _, err = call(*command, stdout=full)
    plain(status, "", err, 1, "No space left on device")


@pytest.mark.slow
@row(42, what="no stdout at all: E1, one line")
def test_no_stdout_at_all(call, model):
    status, _, err = call("sample", "-m", model, preexec_fn=lambda: os.close(1))
    plain(status, "", err, 1, "standard output is closed")


# Checkpoints that are read ----------------------------------------------------------------------


def _header(data, text):
    return struct.pack("<Q", len(text)) + text + data


CRAFTED = {
    "empty": lambda data: b"",
    "7 bytes": lambda data: data[:7],
    "header cut": lambda data: data[:40],
    "data cut": lambda data: data[:-4],
    "trailing": lambda data: data + b"more",
    "endless header": lambda data: struct.pack("<Q", 2**62) + data[8:],
    "long header": lambda data: struct.pack("<Q", 99_000_000) + data[8:],
    "no JSON": lambda data: data[:8] + b"x" + data[9:],
    "overflow": lambda data: _header(
        data, b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}'
    ),
    "outside": lambda data: _header(
        data, b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,99999999]}}'
    ),
    "bad type": lambda data: _header(data, b'{"a":{"dtype":"F77","shape":[1],"data_offsets":[0,4]}}'),
    "noise": lambda data: random.Random(0).randbytes(len(data)),
    "foreign": lambda data: b"\x80\x02}q\x00." + b"not what it says it is" * 3000,
}


@row(44, 45, what="a weights file that is empty, cut, lying, foreign: E1 in a moment")
@pytest.mark.parametrize("craft", CRAFTED)
@pytest.mark.parametrize("signed", [False, True])
def test_a_weights_file_that_is_none(run, model, sign, craft, signed):
    path = model / "model.safetensors"
    path.write_bytes(CRAFTED[craft](path.read_bytes()))
    if signed:
        sign(model)
    began = time.monotonic()
    plain(*run("info", "-m", model), 1, "damaged|changed|too small")
    assert time.monotonic() - began < 10  # a moment, with room for a busy machine


def _flip(folder, sign):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


def _weights(change):
    def apply(folder, sign):
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")
        sign(folder)

    return apply


def _config(change):
    def apply(folder, sign):
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))
        sign(folder)

    return apply


def _vocabulary(characters):
    def apply(folder, sign):
        record = {"kind": "char", "documents": False, "characters": characters}
        (folder / "tokenizer.json").write_text(json.dumps(record))
        sign(folder)

    return apply


def _manifest(names):
    def apply(folder, sign):
        sums = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(sums | names))

    return apply


def _link(folder, sign):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/etc/passwd")


def _endless(folder, sign):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/dev/zero")


def _foreign(folder, sign):
    for path in folder.iterdir():
        path.write_text("a letter to my aunt\n")


def _pickle(folder, sign):
    payload = b"cos\nsystem\n(S'touch executed'\ntR."
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (folder / name).write_bytes(payload * 3000)
    sign(folder)


@row(46, what="one flipped bit: E1")
@row(47, what="weights that are not finite: E1, named")
@row(48, what="tensors that are missing, too many, misshapen, of another type: E1, named")
@row(49, what="a config that lies: E1 before anything is allocated")
@row(50, what="a future format: E1, how to update")
@row(51, what="a pickle: refused, not executed")
@row(52, what="names and links that lead elsewhere: E1")
@row(53, what="a checkpoint of another kind: E1, which")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_flip, r"model\.safetensors is missing or was changed"),
        (_weights(lambda w: w["head.bias"].fill_(float("nan"))), "head.bias that are not finite"),
        (_weights(lambda w: w["head.bias"].fill_(float("inf"))), "head.bias that are not finite"),
        (_weights(lambda w: w.pop("head.bias")), "lacks head.bias"),
        (_weights(lambda w: w.update(more=torch.zeros(3))), "holds more"),
        (_weights(lambda w: w.update({"head.bias": torch.zeros(3)})), r"head.bias as .*\(3,\)"),
        (_weights(lambda w: w.update({"head.bias": w["head.bias"].long()})), "int64"),
        (_config(lambda c: c["model"].update(hidden_size=10**9)), "too small for"),
        (_config(lambda c: c["model"].update(hidden_size=10**99)), "hidden_size must be"),
        (_config(lambda c: c["model"].update(num_layers=10**9)), "too small for"),
        (_config(lambda c: c["model"].update(vocab_size=-1)), "vocab_size must be"),
        (_config(lambda c: c["model"].update(hidden_size="32")), "hidden_size must be"),
        (_config(lambda c: c["model"].update(embedding_size=2.5)), "embedding_size must be"),
        (_config(lambda c: c["model"].update(dropout="much")), "dropout must be"),
        (_config(lambda c: c["model"].update(cell=["lstm"])), "damaged"),
        (_config(lambda c: c["model"].update(vocab_size=7)), "its tokenizer has 18 tokens"),
        (_config(lambda c: c["corpus"].update(split_on="line")), "no end symbol"),
        (_config(lambda c: c["corpus"].update(split_on="")), "no end symbol"),
        (_vocabulary("abc"), "its tokenizer has 3 tokens"),
        (_vocabulary("aabbccddeeffgghhii"), "damaged"),
        (_vocabulary(["\ud800"] * 18), "damaged"),
        (_config(lambda c: c.update(format=999)), "newer one.*pip install"),
        (_config(lambda c: c.update(format=[])), "newer one"),
        (_config(lambda c: c.update(kind="classifier")), "holds a 'classifier'"),
        (_manifest({"../../x": "0"}), "outside the folder"),
        (_manifest({"/etc/passwd": "0"}), "outside the folder"),
        (_manifest({"config.json": 7}), "manifest"),
        (_link, r"config\.json is missing or was changed"),
        (_endless, r"config\.json is missing or was changed"),
        (_foreign, "manifest.json is damaged"),
        (_pickle, "damaged"),
    ],
)
def test_a_checkpoint_that_lies(run, model, sign, tmp_path, damage, words):
    damage(model, sign)
    plain(*run("sample", "-m", model), 1, words)
    assert not (tmp_path / "executed").exists()
    assert "root:" not in run("info", "-m", model)[2]


@row(46, 47, 49, 51, what="the same by the real command")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_flip, "was changed"),
        (_weights(lambda w: w["head.bias"].fill_(float("nan"))), "not finite"),
        (_foreign, "damaged"),
        (_config(lambda c: c["model"].update(hidden_size=10**9)), "too small for"),
        (_pickle, "damaged"),
    ],
    ids=["flipped bit", "NaN weight", "foreign file", "lying config", "pickle payload"],
)
def test_a_checkpoint_that_lies_to_the_real_command(call, model, sign, tmp_path, damage, words):
    damage(model, sign)
    plain(*call("sample", "-m", model), 1, words)
    assert not (tmp_path / "executed").exists()


# Checkpoints that are written -------------------------------------------------------------------


def _wait_for_a_state(folder):
    deadline = time.monotonic() + 60
    while not state_folders(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert state_folders(folder)


@row(54, what="disk full: E1, the earlier state and model are sound, nothing is half there")
@pytest.mark.slow
def test_a_full_disk(call, files, tmp_path):
    train = ["train", "verse.txt", "--hidden", 32, "--steps", 20, "--out", "model"]
    status, _, err = call(*train)
    assert status == 0, err
    before = TextGenerator.load(tmp_path / "model").generate(seed=1)

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    more = ["train", "--resume", "--out", "model", "--steps", 40]
    status = call(*more, preexec_fn=small_disk)
    plain(*status, 1, r"cannot be written: File too large.*continue .*chargen train --resume -o model")
    assert not list((tmp_path / "model").rglob("*.new"))
    assert TextGenerator.load(tmp_path / "model").generate(seed=1) == before
    status, _, err = call(*more)
    assert status == 0, err
    assert json.loads((tmp_path / "model" / "config.json").read_text())["scores"]["steps"] == 40
    status = call(*train[:-1], "anew", preexec_fn=small_disk)
    plain(*status, 1, "cannot be written: File too large")
    assert not list((tmp_path / "anew").rglob("*.new"))


@pytest.mark.slow
@row(54, what="no space at any moment of a save: what was there stays sound")
@pytest.mark.parametrize("moment", range(12))
def test_no_space_at_any_moment(verse, tmp_path, monkeypatch, moment):
    writer = TextGenerator.new(verse, hidden_size=16)
    corpus, config = writer.prepare(verse), TrainConfig(steps=20, batch=4, window=16)
    with Run(tmp_path / "run") as run:
        for step in run.begin(writer, corpus, config):
            if step.number == 2:
                break
    left, synced = [moment], os.fsync

    def fsync(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(descriptor)

    with Run(tmp_path / "run", save_seconds=0) as run, monkeypatch.context() as patch:
        saved = run.saved()
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(ChargenError, match="No space left on device"):
            for _ in run.resume(saved, verse):
                pass
    with Run(tmp_path / "run") as run:
        *_, last = run.resume(run.saved(), verse)
    assert last.finished
    whole = TextGenerator.new(verse, hidden_size=16)
    for _ in whole.train(corpus, **vars(config)):
        pass
    for a, b in zip(whole.model.parameters(), saved.writer.model.parameters(), strict=True):
        assert a.shape == b.shape
    assert TextGenerator.load(tmp_path / "run").generate(seed=1) == whole.generate(seed=1)


TABLE[55] = "killed at random moments: runs/test_killed.py"


@row(56, what="the folder is removed during training: it is made again")
@pytest.mark.slow
def test_the_folder_is_removed_during_training(start, files, tmp_path):
    with start("train", "verse.txt", *LONG[2:], "--steps", 300) as process:
        _wait_for_a_state(tmp_path / "checkpoints" / "verse")
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
        _, err = process.communicate(timeout=100)
    assert "Traceback" not in err
    if process.returncode == 0:
        TextGenerator.load(tmp_path / "checkpoints" / "verse")
    else:  # it was removed in the very moment of a save
        assert "cannot be written" in err, err


@row(57, what="two trainers in one folder: the second is refused; the lock of the dead is taken over")
@pytest.mark.slow
@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_two_trainers_in_one_folder(start, call, files, tmp_path, how):
    train = ["train", "verse.txt", "--out", "model"]
    with start(*train, *LONG) as first:
        _wait_for_a_state(tmp_path / "model")
        plain(*call(*train, how), 1, rf"another training .* \(process {first.pid}\)", "--out")
        first.kill()
        first.communicate()
    assert (tmp_path / "model" / ".lock").exists()
    options = ["--steps", 1] if how == "--resume" else QUICK
    status, out, err = call(*train, how, *options)
    if how == "--resume" and status == 1:
        plain(status, out, err, 1, "1 steps are spent")
    else:
        assert status == 0, err
    assert not (tmp_path / "model" / ".lock").exists()


@row(58, what="only the last two states are kept, nothing foreign is deleted: runs/test_run.py")
@row(59, what="permissions follow the umask")
def test_permissions_follow_the_umask(verse, tmp_path):
    before = os.umask(0o022)
    try:
        writer = TextGenerator.new(verse, hidden_size=16)
        with Run(tmp_path / "run") as run:
            for _ in run.begin(writer, writer.prepare(verse), TrainConfig(steps=3)):
                pass
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert modes == {0o644}


# Going on ---------------------------------------------------------------------------------------


TABLE[60] = "30 steps are 13 and 17, bit for bit: runs/test_run.py"


@row(25, what="a corpus that changed: refused with the two ways on")
@row(61, what="newest state damaged: told, the one before is taken; all damaged: E1")
@row(62, what="other settings: E2 with the name of the option")
@row(63, what="a finished training: said, E0; more budget: goes on")
@pytest.mark.slow
def test_going_on_by_the_real_command(call, files, tmp_path, verse):
    train = ["train", "verse.txt", *QUICK]
    assert call(*train)[0] == 0
    status, out, err = call("train", "verse.txt", "--resume")
    assert (status, out) == (0, "")
    assert "is finished: 3 steps" in err
    assert "--steps 6" in err
    plain(*call("train", "--resume", "--hidden", 32), 2, r"--hidden 32.*began with 16")
    plain(*call("train", "--resume", "--lr", 1), 2, r"--lr 1.*began with 0.006")
    files("verse.txt", verse + "new line\n")
    plain(*call("train", "--resume", "--steps", 9), 1, "put the old text back, or train anew")
    files("verse.txt", verse)
    newest = state_folders(tmp_path / "checkpoints" / "verse")[-1]
    (newest / "state.safetensors").write_bytes(b"cut")
    status, _, err = call("train", "--resume", "--steps", 9)
    assert status == 0, err
    assert f"note: {newest.relative_to(tmp_path)}/state.safetensors is missing or was changed" in err
    for state in state_folders(tmp_path / "checkpoints" / "verse"):
        (state / "manifest.json").write_text("{")
    plain(*call("train", "--resume", "--steps", 12), 1, "no usable training state")


@pytest.mark.slow
@row(64, what="a torn last line of the metrics is cut off, no step comes twice: runs/test_run.py")
@row(65, what="a loss that explodes: E1 with advice, no weight is touched")
@pytest.mark.parametrize("lr", ["1e3", "1e6", "1e30"])
def test_a_learning_rate_beyond_reason(run, files, tmp_path, lr):
    status = run("train", "verse.txt", "--lr", lr, *QUICK[2:], "--steps", 50)
    plain(*status, 1, "diverged for the third time.*lower --lr, for example 0.004")
    assert status[2].count("with half the learning rate") == 2
    for state in state_folders(tmp_path / "checkpoints" / "verse"):
        tensors = load_file(state / "state.safetensors")
        assert all(tensor.isfinite().all() for tensor in tensors.values())


# Signals and streams ----------------------------------------------------------------------------


@row(66, what="Ctrl-C once: the step ends, all is kept, E130")
@row(67, what="SIGTERM: the same, E143; a closed terminal: E129")
@row(68, what="a signal during a save: the save ends or is discarded")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_everything(start, call, files, tmp_path, number):
    folder = tmp_path / "checkpoints" / "verse"
    with start("train", "verse.txt", *LONG) as process:
        _wait_for_a_state(folder)
        time.sleep(0.3)
        process.send_signal(number)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 10  # a step and a save, with room for a busy machine
    assert process.returncode == 128 + number
    stopped = int(re.search(r"stopped at step ([\d,]+); everything is saved", err)[1].replace(",", ""))
    assert "chargen train --resume -o checkpoints/verse" in err
    assert not list(folder.rglob("*.new"))
    with Run(folder) as run:
        assert run.saved().state.step == stopped
    TextGenerator.load(folder)
    if number == signal.SIGINT:
        status, out, err = call("train", "--resume", "--steps", stopped + 5, "--json")
        assert status == 0, err
        assert json.loads(out)["steps"] == stopped + 5


@row(66, what="Ctrl-C twice: leaves at once, with the last save intact")
@pytest.mark.slow
def test_a_second_signal_leaves_at_once(start, files, tmp_path):
    with start("train", "verse.txt", *LONG) as process:
        _wait_for_a_state(tmp_path / "checkpoints" / "verse")
        for _ in range(20):
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in err
    with Run(tmp_path / "checkpoints" / "verse") as run:
        assert run.saved() is not None


@pytest.mark.slow
@row(66, what="Ctrl-C while a text is written: E130, quietly")
def test_ctrl_c_while_writing(start, model):
    with start("sample", "-m", model, "-n", 10**7, "--seed", 1) as process:
        assert process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.strip() == ""


@row(69, what="no terminal, no stderr, no stdout, no stdin: no bar, no fault")
@pytest.mark.slow
@pytest.mark.parametrize("closed", [[], [2], [0, 1, 2]])
def test_streams_that_are_closed(call, files, tmp_path, closed):
    def close():
        for descriptor in closed:
            os.close(descriptor)

    status, _, err = call("train", "verse.txt", *QUICK, preexec_fn=close)
    assert status == 0
    assert "%|" not in err
    assert TextGenerator.load(tmp_path / "checkpoints" / "verse").generate(seed=1)


@row(70, what="--json: exactly one object on stdout")
def test_json_is_one_object(run, files):
    _, out, _ = run("train", "verse.txt", *QUICK, "--json")
    assert out.count("\n") == 1
    json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


# Labelled texts and downloads -------------------------------------------------------------------


TABLE[82] = "no network, a wrong sum, a break, a redirect, too much: data/test_download.py"


@row(81, what="labelled texts that are not as they should be: E1 with the line")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("red,a b\n,c\nred,d\nblue,e\n", "line 2: the label is empty"),
        ("red,a\nred,b\nred,c\nred,d\n", "all texts have the label 'red'"),
        ("label,text,text\na,b,c\nd,e,f\n", "two columns are named 'text'"),
        ('red,"a\nblue,b\nred,c\n', "line 1: bad quoting"),
        ("red,a\nblue,\nred,c\n", "line 2: the text is empty"),
    ],
)
def test_bad_tables(run, files, tmp_path, content, words):
    plain(*run("classify", "train", files("bad.csv", content), "--steps", 1), 1, words)
    assert not (tmp_path / "checkpoints").exists()


@row(81, what="a label that only the test has, one character, a megabyte: measured, defined")
def test_strange_tables(run, files):
    files("train.csv", "red,a\nblue,b\n" * 20 + f"red,{'a' * 1_000_000}\n")
    assert run("classify", "train", "train.csv", "--steps", 2, "--hidden", 8)[0] == 0
    files("test.csv", f"red,a\ngreen,b\nblue,{'b ' * 500_000}\n")
    status, out, err = run("classify", "eval", "test.csv", "--json")
    assert status == 0
    assert "the classifier has no class 'green': 1 texts count as wrong" in err
    assert json.loads(out, parse_constant=lambda name: pytest.fail(name))["accuracy"] <= 2 / 3


# Any bytes --------------------------------------------------------------------------------------

ANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
BYTES = st.one_of(st.binary(max_size=400), st.text(max_size=300).map(str.encode))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some, max_size=3),
    max_leaves=5,
)


@contextmanager
def only_chargen_errors():
    """Lets a ChargenError pass if it says something, and nothing else."""
    try:
        yield
    except ChargenError as error:
        assert str(error)  # noqa: PT017 - whether there is one is the input's choice


@ANY
@given(
    data=BYTES,
    kind=st.sampled_from(["char", "byte", "bpe"]),
    split_on=st.sampled_from([None, "line"]),
)
def test_any_bytes_as_a_corpus(tmp_path, data, kind, split_on):
    path = tmp_path / "any.txt"
    path.write_bytes(data)
    with only_chargen_errors():
        text = Text.open([str(path)])
        corpus = prepare(text, kind=kind, vocab_size=300, split_on=split_on)
        config = ModelConfig(len(corpus.tokenizer), hidden_size=4, embedding_size=4)
        writer = TextGenerator(LanguageModel.new(config, seed=0), corpus.tokenizer)
        *_, last = writer.train(corpus, steps=1)
        assert last.finished


@pytest.mark.slow
@ANY
@given(
    data=BYTES,
    where=st.sampled_from(
        ["config.json", "tokenizer.json", "model.safetensors", "manifest.json", "tokenizer.model"]
    ),
    kind=st.sampled_from(["char", "bpe"]),
    tail=st.booleans(),
    signed=st.booleans(),
)
def test_any_bytes_as_a_checkpoint_file(verse, tmp_path, sign, data, where, kind, tail, signed):
    writer = TextGenerator.new(verse, tokenizer=kind, vocab_size=300, hidden_size=4)
    folder = tmp_path / kind
    writer.save(folder)
    path = folder / where
    old = path.read_bytes() if path.exists() else b""
    path.write_bytes(old[: len(old) // 2] + data if tail else data)
    if signed and where != "manifest.json":
        sign(folder)
    with only_chargen_errors():
        TextGenerator.load(folder).generate(length=3)


@pytest.mark.slow
@settings(ANY, max_examples=60)
@given(data=st.data())
def test_any_value_in_the_config_of_a_model_or_of_a_state(verse, tmp_path, sign, data):
    folder, sound = tmp_path / "run", tmp_path / "sound"
    if not sound.exists():
        writer = TextGenerator.new(verse, hidden_size=4, embedding_size=4)
        with Run(sound) as run:
            for _ in run.begin(writer, writer.prepare(verse), TrainConfig(steps=2)):
                pass
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    for place in (folder, *state_folders(folder)):
        record = json.loads((place / "config.json").read_text())
        parts = [record, *(part for part in record.values() if isinstance(part, dict) and part)]
        part = data.draw(st.sampled_from(parts))
        part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
        (place / "config.json").write_text(json.dumps(record))
        sign(place)
    with only_chargen_errors():
        TextGenerator.load(folder).generate(length=3)
    with Run(folder) as run, only_chargen_errors():
        for _ in run.resume(run.saved(), verse):
            pass


# The whole table --------------------------------------------------------------------------------


def test_no_row_of_the_table_is_forgotten():
    waiting = {n for numbers in (*WAITING.values(), *ELSEWHERE.values()) for n in numbers}
    assert not waiting & TABLE.keys()
    assert TABLE.keys() | waiting == set(range(1, 85))
