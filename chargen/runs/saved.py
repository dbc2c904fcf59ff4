"""The files of a training, as far as they are known without loading its state."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from chargen.data.rows import open_corpus
from chargen.errors import ChargenError
from chargen.inspection.copies import Copies
from chargen.storage import atomic, checkpoint
from chargen.storage.record import Record
from chargen.storage.schema import parse

LOGS = {  # files that grow while a training runs
    checkpoint.TRAINING: ("metrics.jsonl", "samples.txt"),
    checkpoint.CLASSIFIER_TRAINING: ("metrics.jsonl",),
}


def state_folders(folder: Path) -> list[Path]:
    """Returns the folders of the saved states of a training, the newest last."""
    folders = (folder / "resume").glob("state-*")
    return sorted(state for state in folders if state.name.removeprefix("state-").isdecimal())


def kind_of(state: Path) -> str:
    """Returns the kind of training whose state is in a folder; "" if that cannot be read."""
    return str(_config(state).get("kind", ""))


def saved_settings(folder: Path) -> dict[str, Any]:
    """Returns the settings in the newest state of a training that can be read; {} without one."""
    for state in reversed(state_folders(folder)):
        settings = _config(state).get("settings")
        if isinstance(settings, dict):
            return settings
    return {}


def _config(state: Path) -> dict[str, Any]:
    with suppress(ChargenError, OSError):
        return parse(state, (state / "config.json").read_bytes())
    return {}


def corpus_sha256(folder: Path) -> str:
    """Returns the sum of the text that the training in a folder began with; "" if none is saved."""
    for state in reversed(state_folders(folder)):
        with suppress(ChargenError, FileNotFoundError, KeyError):
            values = checkpoint.read_values(state, atomic.manifest(state), kind_of(state))
            return str(values.get("corpus", {}).get("sha256", ""))
    return ""


def corpus_of(folder: Path, record: Record) -> Copies:
    """Returns the index of the text that the model in `folder` was trained on.

    The text is found in the cache, or in the files that the training read it from. Raises
    ChargenError if it is in neither, or was changed.
    """
    sha256, encoding, sources = str(record.corpus.sha256), "utf-8", [str(record.corpus.name)]
    columns: list[str] = []
    with suppress(KeyError, TypeError):
        settings = saved_settings(folder)
        sources, encoding = list(map(str, settings["corpus"])), str(settings["encoding"])
        columns = list(map(str, settings.get("text", ())))
    if cached := Copies.cached(sha256, encoding):
        return cached
    with suppress(ChargenError):
        text = open_corpus(sources, encoding, columns)
        if text.sha256 == sha256:
            return Copies.of(text)
    raise ChargenError(
        f"the corpus {record.corpus.name or ''!r} of the model is not where it was, or was changed "
        "since",
        "say where it is with {corpus}",
    )
