"""The one training that the page runs at a time, in a process of its own.

So it survives a closed tab, every visitor sees it, and writing with other models goes on meanwhile.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError

NAME = re.compile(r"[\w][\w .-]{0,59}", re.ASCII)
MAX_TEXT, MIN_TEXT = 20_000_000, 200  # characters to train on
MAX_MINUTES = 24 * 60
CLOSE_SECONDS = 30.0  # that a training has to save its model when the page is shut down
_MAX_POINTS = 400  # of a curve


@dataclass(frozen=True)
class JobStatus:
    """The status of a training, as a visitor sees it."""

    state: str = "idle"  # idle, preparing, training, finished, stopped or failed
    kind: str = "generator"
    name: str = ""
    folder: str = ""  # of the model, quoted for a shell
    model: str = ""  # its shape and training, in words
    message: str = ""  # why it failed
    notes: tuple[str, ...] = ()
    progress: float = 0.0  # share of the budget, from 0 to 1
    seconds: float = 0.0
    speed: float = 0.0  # characters per second
    step: int = 0
    losses: tuple[tuple[float, float], ...] = ()  # (seconds, bits per character) in training
    scores: tuple[tuple[float, float], ...] = ()  # (seconds, bits per character or accuracy)
    baselines: dict[str, float] = field(default_factory=dict)
    sample: str = ""
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    @property
    def busy(self) -> bool:
        """Whether the training is going on."""
        return self.state in ("preparing", "training")

    @property
    def saved(self) -> bool:
        """Whether the training has ended with a model that can be used."""
        return self.state in ("finished", "stopped") and self.step > 0

    @property
    def seconds_left(self) -> float:
        """An estimate of the time until the training ends; 0 while there is none."""
        return self.seconds * (1 / self.progress - 1) if self.progress > 0.01 else 0.0

    def as_json(self) -> dict[str, Any]:
        """Returns the fields by the names that programs know them by."""
        fields = asdict(self)
        return {"place" if name == "folder" else name: value for name, value in fields.items()}


class TrainingJob:
    """Starts trainings, one at a time, and follows what they report."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self._lock = threading.Lock()
        self._status = JobStatus()
        self._process: subprocess.Popen[str] | None = None

    @property
    def status(self) -> JobStatus:
        """The status of the current training, or else of the last one."""
        return self._status

    def free_name(self, requested: str) -> str:
        """Returns the requested name, with a number if it is taken; `start` refuses an invalid one."""
        requested = requested.strip()
        name, number = requested, 1
        while NAME.fullmatch(name) and (self.checkpoints / name).exists():
            number += 1
            name = f"{requested}-{number}"
        return name

    def start(
        self,
        kind: str,
        name: str,
        text: str | None,
        minutes: float,
        *,
        suffix: str = ".txt",
        split_on: str | None = None,
    ) -> None:
        """Starts a training in a new folder called `name`, where its `text` is saved as well.

        `kind` is "generator" or "classifier"; without `text`, it learns from what comes with chargen.
        `suffix` ends the name of the saved file, and `split_on` separates the documents of the text.
        Raises ChargenError for an invalid or taken name, and while another training is going on.
        """
        if not NAME.fullmatch(name) or name.endswith((".", " ")):
            raise ChargenError(
                f"{name!r} cannot be a name; use letters, digits, spaces, dots and dashes, 60 at most"
            )
        if not 0.05 <= minutes <= MAX_MINUTES:
            raise ChargenError(
                f"the training time is {minutes:g} minutes; it can be 0.05 to {MAX_MINUTES:,}"
            )
        folder = self.checkpoints / name
        with self._lock:
            if self._status.busy:
                raise ChargenError(
                    f"{self._status.name!r} is being trained, and there is one training at a time: "
                    "wait until it has finished, or stop it"
                )
            try:
                folder.mkdir(parents=True)
                source = None
                if text is not None:
                    source = folder / (name + suffix)
                    source.write_text(text, encoding="utf-8", newline="")
            except FileExistsError:
                raise ChargenError(
                    f"there already is a model or a file called {name!r}", "take another {name}"
                ) from None
            except OSError as error:
                raise ChargenError(f"the model cannot be saved: {error.strerror}") from error
            record = {
                "kind": kind,
                "folder": str(folder),
                "source": str(source) if source else None,
                "minutes": minutes,
                "split_on": split_on,
            }
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chargen.web.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C in the terminal reaches the page, which stops it
            )
            assert self._process.stdin
            self._process.stdin.write(json.dumps(record) + "\n")
            self._process.stdin.flush()
            self._status = JobStatus("preparing", kind, name, shlex.quote(str(folder)))
            threading.Thread(
                target=self._follow, args=(self._process, self._status), daemon=True
            ).start()

    def stop(self) -> None:
        """Ends the training after its current step; its best model so far is saved."""
        process = self._process
        if process and process.stdin and self._status.busy:
            try:
                process.stdin.write("stop\n")
                process.stdin.flush()
            except OSError:
                pass  # it has just ended

    def close(self) -> None:
        """Stops the training and waits until its model is saved, for `CLOSE_SECONDS` at most."""
        self.stop()
        if self._process:
            try:
                self._process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _follow(self, process: subprocess.Popen[str], status: JobStatus) -> None:
        """Keeps the status up to date with what a process reports, until the next one starts."""

        def publish(status: JobStatus) -> None:
            with self._lock:
                if self._process is process:
                    self._status = status

        assert process.stdout
        for line in process.stdout:
            status = _updated(status, json.loads(line))
            publish(status)
        if process.wait() or status.busy:
            message = "the training ended unexpectedly; what it had saved until then is still there"
            publish(replace(status, state="failed", message=message))


def _updated(status: JobStatus, event: dict[str, Any]) -> JobStatus:
    """Returns the status after one more event of the worker."""
    if "failed" in event:
        return replace(status, state="failed", message=event["failed"])
    if "stopped" in event:
        return replace(status, state="stopped")
    if "note" in event:
        status = replace(status, notes=(*status.notes, event["note"]))
    if "model" in event:
        status = replace(status, model=event["model"], baselines=event["baselines"])
    if "step" in event:
        seconds = event["seconds"]
        status = replace(
            status,
            state="finished" if "done" in event else "training",
            **{name: event[name] for name in ("step", "progress", "seconds", "speed")},
        )
        if "loss" in event:
            status = replace(status, losses=_thinned((*status.losses, (seconds, event["loss"]))))
        if "score" in event:
            status = replace(status, scores=(*status.scores, (seconds, event["score"])))
        if event.get("sample"):
            status = replace(status, sample=event["sample"])
        if "confusion" in event:
            confusion = tuple(tuple(row) for row in event["confusion"])
            status = replace(status, classes=tuple(event["classes"]), confusion=confusion)
    return status


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Drops every other point once there are more than a curve can show."""
    return points if len(points) <= _MAX_POINTS else points[::2]


def start_generator(
    job: TrainingJob, text: str | None, name: str, minutes: float, split_on: str | None
) -> None:
    """Starts to train a generator on a text, or without one on Python's manual.

    Raises ChargenError for a text that is too long or too short, and as `TrainingJob.start` does.
    """
    if text is not None:
        if len(text) > MAX_TEXT:
            raise ChargenError(
                f"the text has {len(text):,} characters; the page trains on {MAX_TEXT:,} at most"
            )
        if len(text.strip()) < MIN_TEXT:
            raise ChargenError(
                f"the text has {len(text.strip()):,} characters; with fewer than {MIN_TEXT} there is "
                "nothing to learn"
            )
    job.start("generator", name, text, minutes, split_on=split_on)


def start_classifier(
    job: TrainingJob, table: str | None, name: str, minutes: float, suffix: str
) -> None:
    """Starts to train a classifier on a table, or without one on the sentences in 16 languages.

    `suffix` says the format of the table. Raises ChargenError for a table that is too long, and as
    `TrainingJob.start` does.
    """
    if table is not None and len(table) > MAX_TEXT:
        raise ChargenError(
            f"the table has {len(table):,} characters; the page trains on {MAX_TEXT:,} at most"
        )
    job.start("classifier", name, table, minutes, suffix=suffix)


def safe_name(path: str) -> str:
    """Returns a name for the model that is trained on a file."""
    characters = [c if (c.isascii() and c.isalnum()) or c in "_-. " else "-" for c in Path(path).stem]
    return "".join(characters).strip("-. ")[:50] or "my text"
