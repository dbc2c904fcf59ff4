"""`chargen compress` and `decompress`: names of files, standard streams, and what is refused."""

import subprocess
import sys

from chargen.generator import STARTER

TEXT = "the sea, the sea; a bird is on the sea\n" * 3


def test_a_file_comes_back(run, model, tmp_path):
    original = tmp_path / "letter.txt"
    original.write_text(TEXT)
    status, out, err = run("compress", "-m", model, original)
    assert (status, out) == (0, "")
    assert "letter.txt.cgz\n" in err
    assert "117 bytes became" in err
    original.rename(tmp_path / "kept.txt")
    status, out, _ = run("decompress", "-m", model, tmp_path / "letter.txt.cgz")
    assert (status, out) == (0, "")
    assert original.read_text() == TEXT


def test_nothing_is_replaced_unasked(run, model, tmp_path):
    original, packed = tmp_path / "letter.txt", tmp_path / "letter.txt.cgz"
    original.write_text(TEXT)
    packed.write_text("something else")
    status, _, err = run("compress", "-m", model, original)
    assert status == 2
    assert "replace it with --overwrite" in err
    assert packed.read_text() == "something else"
    assert run("compress", "-m", model, original, "--overwrite")[0] == 0
    assert run("decompress", "-m", model, packed)[0] == 2
    assert run("decompress", "-m", model, packed, "-o", tmp_path)[0] == 2


def test_standard_streams(model):
    pack = [sys.executable, "-m", "chargen", "compress", "-", "-m", model]
    packed = subprocess.run(pack, input=TEXT.encode(), capture_output=True, check=True).stdout
    unpack = [sys.executable, "-m", "chargen", "decompress", "-", "-m", model]
    result = subprocess.run(unpack, input=packed, capture_output=True, check=True)
    assert result.stdout == TEXT.encode()
    assert result.stderr == b""


def test_damage_and_foreign_files_write_nothing(run, model, tmp_path):
    original, packed = tmp_path / "letter.txt", tmp_path / "letter.txt.cgz"
    original.write_text(TEXT)
    run("compress", "-m", model, original)
    original.unlink()
    packed.write_bytes(packed.read_bytes()[:-3])
    status, _, err = run("decompress", "-m", model, packed)
    assert status == 1
    assert err == "Error: the packed file is damaged or was cut short; fetch or copy it once more\n"
    packed.write_text("hello")
    assert "not a file that chargen has packed" in run("decompress", "-m", model, packed)[2]
    assert not original.exists()


def test_another_model_is_named_as_the_cause(run, model, tmp_path):
    original = tmp_path / "letter.txt"
    original.write_text(TEXT)
    assert run("compress", "-m", STARTER, original)[0] == 0
    status, _, err = run("decompress", "-m", model, f"{original}.cgz", "--overwrite")
    assert status == 1
    assert "another model" in err
    assert "name the model with --model" in err


def test_a_name_without_the_suffix_needs_another_one(run, model, tmp_path):
    (tmp_path / "letter").write_text(TEXT)
    status, _, err = run("decompress", "-m", model, tmp_path / "letter")
    assert status == 2
    assert "does not end with .cgz" in err
