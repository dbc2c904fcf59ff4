"""The folder of a training: the one that was named, the one to resume, or the next free one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from chargen.cli.terminal import say
from chargen.errors import ChargenError
from chargen.storage.atomic import MANIFEST

_RESUME = "resume its training with --resume, "


def training_folder(
    out: str | None,
    sources: Sequence[str],
    encoding: str,
    columns: Sequence[str],
    resume: bool,
    overwrite: bool,
) -> Path:
    """Returns the folder for a training of a generator on `sources`.

    With `resume` and without `out`, it is the folder under checkpoints that was trained in last; where
    `sources` are given, on this text. Raises ChargenError where `free_folder` does.
    """
    from chargen.data.text import BUILTIN, name_of
    from chargen.storage.checkpoint import TRAINING

    name = name_of(sources or [BUILTIN])
    if out is None and resume:
        if folders := _trained(name if sources else None, TRAINING):
            folder = folders[0]
            if len(folders) > 1:
                folder = _trained_on(folders, sources, encoding, columns)
            say(f"resuming {folder}")
            return folder
        return Path("checkpoints", name)
    return free_folder(out, name, overwrite or resume, _RESUME)


def classifier_folder(out: str | None, data: str | None, resume: bool, overwrite: bool) -> Path:
    """Returns the folder for a training of a classifier on `data`, as `training_folder` does."""
    from chargen.data.text import name_of
    from chargen.runs.saved import saved_settings
    from chargen.storage.checkpoint import CLASSIFIER_TRAINING

    name = name_of([data or "languages"])
    if out is None and resume:
        if folders := _trained(None if data is None else name, CLASSIFIER_TRAINING):
            # Two tables can have the same name.
            path = data and str(Path(data).absolute())
            same = [
                folder for folder in folders if data and saved_settings(folder).get("data") == path
            ]
            folder = (same or folders)[0]
            say(f"resuming {folder}")
            return folder
        return Path("checkpoints", name)
    return free_folder(out, name, overwrite or resume, _RESUME)


def _trained(name: str | None, kind: str) -> list[Path]:
    """Returns the folders under checkpoints with a training of a kind, the last one first.

    With a `name`, they are those that trainings on sources of that name had.
    """
    from chargen.runs.saved import kind_of, state_folders

    if name is not None:
        _refuse_path(name)
    states = Path("checkpoints").glob("*/resume")
    folders = [path.parent for path in sorted(states, key=lambda path: -path.stat().st_mtime)]
    if name is not None:
        pattern = re.compile(rf"{re.escape(name)}(-\d+)?")
        folders = [folder for folder in folders if pattern.fullmatch(folder.name)]
    return [folder for folder in folders if kind in map(kind_of, state_folders(folder))]


def free_folder(out: str | None, name: str, reuse: bool, choices: str = "") -> Path:
    """Returns the folder `out`, or without it the next free one under checkpoints that `name` names.

    With `reuse`, the folder may hold a model already. Raises ChargenError for an `out` that cannot be
    used; `choices` comes first in what it advises.
    """
    if out is not None:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise ChargenError(f"--out {out!r} is a file; name a folder")
        if not reuse and _holds_files(folder):
            if (folder / MANIFEST).exists() or (folder / "resume").exists():
                raise ChargenError(
                    f"{folder} already holds a model; {choices}replace it with --overwrite, or name "
                    "another --out"
                )
            raise ChargenError(f"{folder} holds other files already; name another --out")
        return folder
    _refuse_path(name)
    folder, number = Path("checkpoints", name), 1
    while not reuse and _holds_files(folder):
        number += 1
        folder = Path("checkpoints", f"{name}-{number}")
    if number > 1:
        say(f"note: checkpoints/{name} is taken; the model goes to {folder}")
    return folder


def _trained_on(
    folders: list[Path], sources: Sequence[str], encoding: str, columns: Sequence[str]
) -> Path:
    """Returns the first of `folders` with a training on the text of `sources`, or else the first.

    Two texts can have the same name. Standard input could not be read once more, so its name decides.
    """
    from chargen.data.rows import open_corpus
    from chargen.runs.saved import corpus_sha256

    if not sources or "-" in sources:
        return folders[0]
    sha256 = open_corpus(sources, encoding, columns).sha256
    return next((folder for folder in folders if corpus_sha256(folder) == sha256), folders[0])


def refuse_other_files(folder: Path) -> None:
    """Raises ChargenError for a folder that holds files, but no training to resume."""
    if _holds_files(folder):
        raise ChargenError(
            f"{folder} holds other files, but no training to resume; name another --out"
        )


def _holds_files(folder: Path) -> bool:
    """Returns whether a folder holds anything but what a process leaves that dies at once."""
    leftover = re.compile(r"\.lock|resume|resume/state-\d+\.new(/.*)?")
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return any(not leftover.fullmatch(path) for path in paths)


def _refuse_path(name: str) -> None:
    """Raises ChargenError for a name that would lead out of the folder of checkpoints."""
    if name in ("", ".", ".."):
        raise ChargenError(
            f"a model cannot be called {name!r}, as its corpus is: name a folder with --out"
        )
