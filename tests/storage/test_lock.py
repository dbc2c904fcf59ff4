"""One process at a time writes in a folder."""

import errno
import os

import pytest

from chargen import ChargenError
from chargen.storage.lock import claimed


def test_a_second_claim_is_refused_and_names_the_process(tmp_path):
    message = rf"another training is at work in .* \(process {os.getpid()}\); .* another folder"
    with claimed(tmp_path / "run"):
        for _ in range(2):  # a refused claim leaves the lock and the name of its holder as they are
            with pytest.raises(ChargenError, match=message), claimed(tmp_path / "run"):
                pass
    with claimed(tmp_path / "run"):
        pass


def test_a_folder_in_which_nothing_was_written_is_removed_again(tmp_path):
    with claimed(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with claimed(tmp_path / "a" / "b"):
        (tmp_path / "a" / "model").write_text("")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model"]


def test_the_lock_file_of_a_process_that_died_is_taken_over(tmp_path):
    (tmp_path / ".lock").write_text("4194304\n")
    with claimed(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch):
    def without_locks(descriptor, blocking):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("chargen.storage.lock.lock_descriptor", without_locks)
    with claimed(tmp_path / "run"):
        (tmp_path / "run" / "model").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]
