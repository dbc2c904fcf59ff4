"""The one training that the page does at a time, in a process of its own, whoever looks on.

So it survives a closed tab, and writing with other models goes on meanwhile.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chargen.data.text import BUILTIN
from chargen.errors import ChargenError

NAME = re.compile(r"[\w][\w .-]{0,59}", re.ASCII)
MOST_MINUTES = 24 * 60
KILL_SECONDS = 30.0  # that a training has to keep what it learned when the page is shut down
_POINTS = 400  # of a curve that are kept


@dataclass(frozen=True)
class JobStatus:
    """What there is to see of a training."""

    state: str = "idle"  # idle, preparing, training, finished, stopped or failed
    kind: str = "generator"
    name: str = ""
    place: str = ""  # the folder of the model
    model: str = ""  # its shape, in words
    message: str = ""  # why it failed
    notes: tuple[str, ...] = ()
    progress: float = 0.0
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
        """Whether it is at work."""
        return self.state in ("preparing", "training")

    @property
    def left(self) -> float:
        """Seconds until it is done, as far as can be told."""
        return self.seconds * (1 / self.progress - 1) if self.progress > 0.01 else 0.0


class TrainingJob:
    """Begins trainings, one at a time, and tells of them."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self._lock = threading.Lock()
        self._view = JobStatus()
        self._process: subprocess.Popen[str] | None = None

    def view(self) -> JobStatus:
        """The training at work, or the last one."""
        return self._view

    def free_name(self, wanted: str) -> str:
        """This name, or the next free one of its kind; what is no name, `begin` will refuse."""
        name, number = wanted.strip(), 1
        wanted = name
        while NAME.fullmatch(name) and (self.checkpoints / name).exists():
            number += 1
            name = f"{wanted}-{number}"
        return name

    def begin(self, kind: str, name: str, text: str | None, minutes: float, **job: Any) -> None:
        """Starts a training; its text is kept in the folder of the model, which must be new.

        Raises ChargenError for a name that is none, that is taken, and while another one is at work.
        """
        if not NAME.fullmatch(name) or name.endswith((".", " ")):
            raise ChargenError(
                f"{name!r} cannot be a name; take letters, digits, spaces, dots and dashes, at most 60"
            )
        if not 0.05 <= minutes <= MOST_MINUTES:
            raise ChargenError(f"{minutes:g} minutes: choose between 0.05 and {MOST_MINUTES:,}")
        folder = self.checkpoints / name
        with self._lock:
            if self._view.busy:
                raise ChargenError(
                    f"{self._view.name!r} is being trained; there is one training at a time. Wait for "
                    "it, or stop it"
                )
            try:
                folder.mkdir(parents=True)
                source = None
                if text is not None:
                    source = folder / (name + job.pop("suffix", ".txt"))
                    source.write_text(text, encoding="utf-8", newline="")
            except FileExistsError:
                raise ChargenError(
                    f"there is something called {name!r} already; choose another name"
                ) from None
            except OSError as error:
                raise ChargenError(f"the model cannot be kept: {error.strerror}") from error
            record = {
                "kind": kind,
                "folder": str(folder),
                "source": str(source) if source else job.pop("builtin", None),
                "uploaded": source is not None,
                "minutes": minutes,
                **job,
            }
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chargen.web.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C in the terminal is for the page, which then asks it
            )
            assert self._process.stdin
            self._process.stdin.write(json.dumps(record) + "\n")
            self._process.stdin.flush()
            self._view = JobStatus("preparing", kind, name, shlex.quote(str(folder)))
            follower = threading.Thread(
                target=self._follow, args=(self._process, self._view), daemon=True
            )
            follower.start()

    def stop(self) -> None:
        """Ends the training after its step; the best model so far is kept."""
        process = self._process
        if process and process.stdin and self._view.busy:
            try:
                process.stdin.write("stop\n")
                process.stdin.flush()
            except OSError:
                pass  # it has just ended

    def close(self) -> None:
        """When the page is shut down: what was learned is kept first."""
        self.stop()
        if self._process:
            try:
                self._process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _follow(self, process: subprocess.Popen[str], view: JobStatus) -> None:
        """Tells what a process says, until the next training takes its place."""

        def show(view: JobStatus) -> None:
            with self._lock:
                if self._process is process:
                    self._view = view

        assert process.stdout
        for line in process.stdout:
            view = _after(view, json.loads(line))
            show(view)
        if process.wait() or view.busy:
            message = "the training ended without a word; what it had learned until then is kept"
            show(replace(view, state="failed", message=message))


def _after(view: JobStatus, event: dict[str, Any]) -> JobStatus:
    """What there is to see after one more thing has happened."""
    if "failed" in event:
        return replace(view, state="failed", message=event["failed"])
    if "stopped" in event:
        return replace(view, state="stopped")
    if "note" in event:
        view = replace(view, notes=(*view.notes, event["note"]))
    if "model" in event:
        view = replace(view, model=event["model"], baselines=event["baselines"])
    if "step" in event:
        seconds = event["seconds"]
        view = replace(
            view,
            state="finished" if "done" in event else "training",
            **{name: event[name] for name in ("step", "progress", "seconds", "speed")},
        )
        if "loss" in event:
            view = replace(view, losses=_thinned((*view.losses, (seconds, event["loss"]))))
        if "score" in event:
            view = replace(view, scores=(*view.scores, (seconds, event["score"])))
        if event.get("sample"):
            view = replace(view, sample=event["sample"])
        if "confusion" in event:
            confusion = tuple(tuple(row) for row in event["confusion"])
            view = replace(view, classes=tuple(event["classes"]), confusion=confusion)
    return view


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Every other point, once there are too many to see."""
    return points if len(points) <= _POINTS else points[::2]


LONGEST_TEXT = 20_000_000  # characters


FEWEST = 200  # characters; from fewer there is nothing to learn


def begin_training(
    job: TrainingJob, text: str | None, name: str, minutes: float, split_on: str | None
) -> None:
    """Begins to learn a text, or Python's manual where there is none; raises ChargenError."""
    if text is not None:
        if len(text) > LONGEST_TEXT:
            raise ChargenError(
                f"the text has {len(text):,} characters; in the page at most {LONGEST_TEXT:,} are "
                "learned: take `chargen train` in a terminal"
            )
        if len(text.strip()) < FEWEST:
            raise ChargenError(
                f"the text has {len(text.strip()):,} characters; from fewer than {FEWEST} there is "
                "nothing to learn"
            )
    job.begin(
        "generator",
        name,
        text,
        minutes,
        builtin=BUILTIN,
        split_on=split_on,
        tokenizer="char",
    )


def safe_name(path: str) -> str:
    """A name for a model, after the file that it learns from."""
    kept = [c if (c.isascii() and c.isalnum()) or c in "_-. " else "-" for c in Path(path).stem]
    return "".join(kept).strip("-. ")[:50] or "my text"
