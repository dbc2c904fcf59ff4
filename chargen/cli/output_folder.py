"""Where a training lives: the folder that was named, the one to go on with, or the next free one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from chargen.cli.terminal import say
from chargen.errors import ChargenError
from chargen.storage.atomic import MANIFEST


def folder_of(out: str | None, sources: Sequence[str], resume: bool, overwrite: bool) -> Path:
    """Where the training lives: the folder asked for, the one to go on with, or the next free one."""
    from chargen.data.text import name_of

    name = name_of(sources or ["python-docs"])
    if out is None:
        _refuse_path(name)
    if out is None and resume:
        checkpoints = Path("checkpoints")
        pattern = rf"{re.escape(name)}(-\d+)?" if sources else ".*"
        trained = [f for f in checkpoints.glob("*/resume") if re.fullmatch(pattern, f.parent.name)]
        if not trained:
            return checkpoints / name
        folder = max(trained, key=lambda states: states.stat().st_mtime).parent
        say(f"going on with {folder}")
        return folder
    return free_folder(out, name, overwrite or resume, "go on with its training by --resume, ")


def free_folder(out: str | None, name: str, taken: bool, way_on: str) -> Path:
    """The folder asked for, or the next free one of this name; a `taken` one if meant."""
    if out is not None:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise ChargenError(f"--out {out!r} is a file; name a folder")
        if not taken and _kept(folder):
            if (folder / MANIFEST).exists() or (folder / "resume").exists():
                raise ChargenError(
                    f"{folder} already holds a model; {way_on}replace it with --overwrite, or name "
                    "another --out"
                )
            raise ChargenError(f"{folder} holds other files already; name another --out")
        return folder
    _refuse_path(name)
    folder, number = Path("checkpoints", name), 1
    while not taken and _kept(folder):
        number += 1
        folder = Path("checkpoints", f"{name}-{number}")
    if number > 1:
        say(f"note: checkpoints/{name} is taken; the model goes to {folder}")
    return folder


def refuse_other_files(folder: Path) -> None:
    """Raises ChargenError for a folder without a training to resume, but with something else in it."""
    if _kept(folder):
        raise ChargenError(
            f"{folder} holds no training that could go on, but other files; name another --out"
        )


def _kept(folder: Path) -> bool:
    """Whether there is anything in a folder; what a process left that died at once is nothing."""
    left = re.compile(r"\.lock|resume|resume/state-\d+\.new(/.*)?")
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return any(not left.fullmatch(path) for path in paths)


def _refuse_path(name: str) -> None:
    """Raises ChargenError for a name that would lead out of the folder of checkpoints."""
    if name in ("", ".", ".."):
        raise ChargenError(
            f"a model cannot be called {name!r}, as its corpus is: name a folder with --out"
        )
