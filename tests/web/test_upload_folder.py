"""Uploads have a folder of their own, closed to others, limited, and empty at the start."""

import os
import stat

import httpx
import pytest

from chargen.storage.lock import claimed
from chargen.web import upload_folder


def fill(folder, name, size, age):
    path = folder / name / "text.txt"
    path.parent.mkdir()
    path.write_bytes(b"")
    os.truncate(path, size)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_w17_the_oldest_uploads_make_room(tmp_path):
    third = upload_folder.MAX_TOTAL // 3
    old, middle, new = (fill(tmp_path, n, third, age) for n, age in (("a", 3), ("b", 2), ("c", 1)))
    upload_folder.make_room(0, tmp_path)
    assert old.exists()
    upload_folder.make_room(third // 2, tmp_path)
    assert not old.parent.exists()
    upload_folder.make_room(upload_folder.MAX_TOTAL // 2, tmp_path)
    assert [path.exists() for path in (middle, new)] == [False, True]


def test_w17_many_small_uploads_are_limited_too(tmp_path):
    for number in range(4000):
        fill(tmp_path, f"{number:04}", 1, 4000 - number)
    upload_folder.make_room(1, tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == upload_folder.MAX_TOTAL // 2**16 - 1
    assert left[-1] == "3999"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_w17_folders_of_servers_that_are_gone_are_removed(tmp_path):
    parent = tmp_path / "uploads"
    parent.mkdir(mode=0o755)
    gone, running = parent / "gone", parent / "running"
    for folder in (gone, running):
        folder.mkdir()
        (folder / "text.txt").write_text("private")
    with claimed(running):
        upload_folder.open_folder(parent / "own")
        assert sorted(path.name for path in parent.iterdir()) == ["own", "running"]
        assert (running / "text.txt").exists()
    for folder in (parent, parent / "own"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.slow
def test_w17_an_upload_is_gone_after_the_end_and_after_a_kill(serve, tmp_path):
    def files():
        return sorted(path.name for path in (tmp_path / "cache" / "uploads").rglob("*.txt"))

    def upload(address):
        answer = httpx.post(address + "/gradio_api/upload", files={"files": ("a.txt", b"private")})
        assert answer.status_code == 200
        assert files() == ["a.txt"]

    with serve(tmp_path) as (address, _):
        upload(address)
    assert files() == []
    with serve(tmp_path, ended=-9) as (address, process):
        upload(address)
        process.kill()
    assert files() == ["a.txt"]
    with serve(tmp_path) as (address, _):
        assert files() == []
        upload(address)
