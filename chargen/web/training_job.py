"""The one training that the page runs at a time, in a process of its own.

So it survives a closed tab, every visitor sees it, and writing with other models goes on meanwhile.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError
from chargen.evaluation.lengths import LengthBin
from chargen.evaluation.mistakes import Mistake
from chargen.runs.saved import LOGS, state_folders
from chargen.runs.unfinished import Unfinished, unfinished_trainings
from chargen.storage import atomic
from chargen.web.names import checked_name, free_name
from chargen.web.numbers import number

MAX_TEXT, MIN_TEXT = 20_000_000, 200  # characters to train on
MIN_MINUTES, MAX_MINUTES = 0.05, 24 * 60
CLOSE_SECONDS = 30.0  # that a training has to save its model when the page is shut down
SUFFIXES = (".txt", ".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")  # of a saved text or table
_MAX_POINTS = 400  # of a curve


@dataclass(frozen=True)
class Starter:
    """The visitor who began a training."""

    user: str = ""  # that of the login, if there is one
    address: str = ""  # of the computer
    hour: str = ""  # when it began, such as 14:05

    def seen_by(self, visitor: Starter) -> str:
        """Returns who began it, in words for a visitor."""
        if self.user:
            who = "you" if self.user == visitor.user else self.user
        elif self.address:
            who = "this computer" if self.address == visitor.address else "another computer"
            who = f"somebody at {who}"
        else:
            who = "a program"
        return f"begun at {self.hour} by {who}"


NOBODY = Starter()


@dataclass(frozen=True)
class JobStatus:
    """The status of a training, as a visitor sees it."""

    state: str = "idle"  # idle, preparing, training, finished, stopped or failed
    kind: str = "generator"
    name: str = ""
    folder: str = ""  # of the model, quoted for a shell
    model: str = ""  # its shape and training, in words
    summary: str = ""  # the same in fewer words
    starter: Starter = NOBODY
    message: str = ""  # why it failed
    notes: tuple[str, ...] = ()
    progress: float = 0.0  # share of the budget, from 0 to 1
    seconds: float = 0.0
    speed: float = 0.0  # characters per second
    step: int = 0
    losses: tuple[tuple[float, float], ...] = ()  # (seconds, bits per character) in training
    scores: tuple[tuple[float, float], ...] = ()  # (seconds, bits per character or accuracy)
    networks: tuple[float, ...] = ()  # seconds at which a further network began
    baselines: dict[str, float] = field(default_factory=dict)
    sample: str = ""
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    by_length: tuple[LengthBin, ...] = ()  # of the held-out texts
    mistakes: tuple[Mistake, ...] = ()  # the most confident ones

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
        names = {"folder": "place"}
        private = {"starter", "summary", "networks"}
        fields = asdict(self).items()
        return {names.get(name, name): value for name, value in fields if name not in private}


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
        """Returns the requested name, with a number if it is taken; raises as `checked_name` does."""
        return free_name(self.checkpoints, requested)

    def unfinished(self, kind: str | None = None) -> list[Unfinished]:
        """Returns the trainings on disk that can go on, of one `kind` or of both.

        The one that is going on is not among them.
        """
        busy = self._status.name if self._status.busy else None
        trainings = unfinished_trainings(self.checkpoints)
        return [t for t in trainings if t.folder.name != busy and kind in (None, t.kind)]

    def start(
        self,
        kind: str,
        name: str,
        text: str | None,
        minutes: float,
        *,
        suffix: str = ".txt",
        split_on: str | None = None,
        skip_bad_rows: bool = False,
        starter: Starter = NOBODY,
    ) -> None:
        """Starts a training in a new folder called `name`, where its `text` is saved as well.

        `kind` is "generator" or "classifier"; without `text`, it learns from what comes with chargen.
        `suffix` ends the name of the saved file, `split_on` separates the documents of the text, and
        `skip_bad_rows` leaves out the rows of a table that cannot be used. Raises ChargenError for an
        invalid or taken name, for a time out of range, and while another training is going on.
        """
        name = checked_name(name)
        minutes = number(minutes, "minutes", MIN_MINUTES, MAX_MINUTES)
        folder = self.checkpoints / name
        with self._lock:
            self._refuse_second()
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
            except (OSError, UnicodeEncodeError) as error:
                _discard(folder)
                reason = error.strerror if isinstance(error, OSError) else "it is not valid Unicode"
                raise ChargenError(f"the text cannot be saved: {reason}") from error
            record = {
                "source": str(source) if source else None,
                "minutes": minutes,
                "split_on": split_on,
                "skip_bad_rows": skip_bad_rows,
            }
            self._run(kind, name, record, starter)

    def resume(self, name: str, starter: Starter = NOBODY) -> None:
        """Goes on with one of the `unfinished` trainings, to the end of its budget.

        Raises ChargenError for any other name, and while another training is going on.
        """
        with self._lock:
            self._refuse_second()
            kinds = {training.folder.name: training.kind for training in self.unfinished()}
            if name not in kinds:
                raise ChargenError(f"there is no unfinished training called {name!r}")
            self._run(kinds[name], name, {"resume": True}, starter)

    def _refuse_second(self) -> None:
        if self._status.busy:
            raise ChargenError(
                f"{self._status.name!r} is being trained, and there is one training at a time: "
                "wait until it has finished, or stop it"
            )

    def _run(self, kind: str, name: str, record: dict[str, Any], starter: Starter) -> None:
        """Starts the process for a record, to which it adds what every training has."""
        folder = self.checkpoints / name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chargen.web.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C in the terminal reaches the page, which stops it
        )
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"kind": kind, "folder": str(folder), **record}) + "\n")
        self._process.stdin.flush()
        self._status = JobStatus(
            "preparing",
            kind,
            name,
            shlex.quote(str(folder)),
            starter=replace(starter, hour=time.strftime("%H:%M")),
        )
        threading.Thread(target=self._follow, args=(self._process, self._status), daemon=True).start()

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
            if status.busy:
                publish(status)
        # Whoever sees the end may go on with this training, or take its name for another one.
        code, folder = process.wait(), self.checkpoints / status.name
        _discard(folder)
        if code or status.busy:
            message = "it ended unexpectedly"
            if state_folders(folder):
                message += ". What it had saved until then is still there: choose it below to go on"
            status = replace(status, state="failed", message=message)
        publish(status)


def _updated(status: JobStatus, event: dict[str, Any]) -> JobStatus:
    """Returns the status after one more event of the worker."""
    if "failed" in event:
        return replace(status, state="failed", message=event["failed"])
    if "stopped" in event:
        return replace(status, state="stopped")
    if "note" in event:
        status = replace(status, notes=(*status.notes, event["note"]))
    if "model" in event:
        status = replace(
            status,
            model=event["model"],
            summary=event["summary"],
            baselines=event["baselines"],
        )
    if "network" in event:
        status = replace(status, networks=(*status.networks, event["seconds"]))
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
        if "by_length" in event:
            bins = tuple(LengthBin(**one) for one in event["by_length"])
            mistakes = tuple(Mistake(**one) for one in event["mistakes"])
            status = replace(status, by_length=bins, mistakes=mistakes)
    return status


def _discard(folder: Path) -> None:
    """Removes the folder of a training that saved nothing; nothing but its own files is deleted."""
    if (folder / atomic.MANIFEST).exists() or state_folders(folder):
        return
    logs = {name for names in LOGS.values() for name in names}
    names = (".lock", *logs, *(folder.name + suffix for suffix in SUFFIXES))
    with suppress(OSError):
        shutil.rmtree(folder / "resume", ignore_errors=True)  # the draft of a state that was not saved
        for name in names:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Drops every other point once there are more than a curve can show."""
    return points if len(points) <= _MAX_POINTS else points[::2]


def start_generator(
    job: TrainingJob,
    text: str | None,
    name: str,
    minutes: float,
    split_on: str | None,
    starter: Starter = NOBODY,
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
    job.start("generator", name, text, minutes, split_on=split_on, starter=starter)


def start_classifier(
    job: TrainingJob,
    table: str | None,
    name: str,
    minutes: float,
    suffix: str,
    skip_bad_rows: bool = False,
    starter: Starter = NOBODY,
) -> None:
    """Starts to train a classifier on a table, or without one on the sentences in 16 languages.

    `suffix` says the format of the table, and `skip_bad_rows` leaves out rows that cannot be used.
    Raises ChargenError for a table that is too long, and as `TrainingJob.start` does.
    """
    if table is not None and len(table) > MAX_TEXT:
        raise ChargenError(
            f"the table has {len(table):,} characters; the page trains on {MAX_TEXT:,} at most"
        )
    suffix = suffix.lower() if suffix.lower() in SUFFIXES else ".txt"
    job.start(
        "classifier",
        name,
        table,
        minutes,
        suffix=suffix,
        skip_bad_rows=skip_bad_rows,
        starter=starter,
    )
