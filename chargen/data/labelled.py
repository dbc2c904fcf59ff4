"""Labelled texts, from a table (see `tables`) or a folder: each a text and its class."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from chargen import arguments
from chargen.data.tables import example, read_table, refuse_or_note
from chargen.data.text import Text
from chargen.errors import ChargenError
from chargen.suggestions import suggests

MAX_CLASSES = 10_000
_LISTED = 5  # labels, in a message
# Options of `Labelled.open` that a training keeps, so that its texts are read again in the same way.
READING = ("text", "label", "header", "separator", "encoding", "skip_bad_rows")


@suggests
@dataclass(frozen=True, repr=False)
class Labelled:
    """Texts and their labels, in the order in which they were read.

    Labels that are numbers become strings. Raises ChargenError where the two are not of one length,
    and for a text or a label that is missing or no text.
    """

    texts: list[str]
    labels: list[str]
    name: str = "texts"
    sha256: str = ""
    notes: list[str] = field(default_factory=list)  # for a person, on how the source was read

    def __post_init__(self) -> None:
        texts = arguments.texts(self.texts, "texts")
        labels = [
            _label(label, index)
            for index, label in enumerate(arguments.several(self.labels, "labels"))
        ]
        if len(texts) != len(labels):
            raise ChargenError(
                f"there are {len(texts):,} texts and {len(labels):,} labels",
                "give one label for each text",
            )
        object.__setattr__(self, "texts", texts)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"Labelled({self.name!r}, {len(self):,} texts, {len(self.classes):,} classes)"

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Labelled: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | Labelled:
        """Returns the text and the label at `index`, or a part of the texts for a slice."""
        if isinstance(index, slice):
            return replace(self, texts=self.texts[index], labels=self.labels[index])
        if not hasattr(index, "__index__"):
            raise TypeError(
                f"data[{index!r}]: write data[0] for a text and its label, data[:5] for several, "
                "data.texts and data.labels for all"
            )
        return self.texts[index], self.labels[index]

    @property
    def classes(self) -> list[str]:
        """The distinct labels, sorted, numbers by their value."""
        return sorted(set(self.labels), key=_order)

    def counts(self) -> dict[str, int]:
        """Returns the number of texts of each class, the largest class first."""
        return dict(Counter(self.labels).most_common())

    def check_labels(self, classes: Sequence[str]) -> list[str]:
        """Returns a note on the labels that are none of `classes`, if there are any.

        Raises ChargenError where no label is one of them.
        """
        known, counts = set(classes), self.counts()
        unknown = [label for label in self.classes if label not in known]
        if not unknown:
            return []
        shown = ", ".join(map(repr, unknown[:_LISTED])) + (", …" if len(unknown) > _LISTED else "")
        if len(unknown) == len(counts):
            raise ChargenError(
                f"none of the labels of {self.name} occurs in training: {shown}; in training they are "
                + ", ".join(map(repr, classes[:_LISTED]))
                + (", …" if len(classes) > _LISTED else ""),
                "name the column of the labels with {label}",
            )
        count = sum(counts[label] for label in unknown)
        return [
            f"{count:,} texts of {self.name} have labels that do not occur in training, and count as "
            f"wrong: {shown}"
        ]

    def select(self, indices: Sequence[int]) -> Labelled:
        """Returns the texts at `indices`, with their labels."""
        return replace(
            self, texts=[self.texts[i] for i in indices], labels=[self.labels[i] for i in indices]
        )

    def split(self, fraction: float = 0.1, seed: int = 0) -> tuple[Labelled, Labelled]:
        """Returns a training and a validation part, stratified: `fraction` of every class goes apart.

        The only text of a class stays in the training part. `seed` draws the texts.
        """
        fraction = arguments.number(fraction, "fraction", least=0, below=1)
        rng = np.random.default_rng(arguments.count(seed, "seed"))
        by_label: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            by_label.setdefault(label, []).append(index)
        validation: set[int] = set()
        for indices in by_label.values():
            count = min(round(len(indices) * fraction + 1e-9), len(indices) - 1)
            if fraction > 0 and len(indices) > 1:
                count = max(1, count)
            validation.update(rng.permutation(indices)[:count].tolist())
        training = [index for index in range(len(self)) if index not in validation]
        return self.select(training), self.select(sorted(validation))

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str],
        *,
        text: str | int | Sequence[str | int] = (),
        label: str | int | None = None,
        header: bool | None = None,
        separator: str | None = None,
        classes: Sequence[str] = (),
        encoding: str = "utf-8",
        skip_bad_rows: bool = False,
    ) -> Labelled:
        """Reads a table in a file or from standard input ("-"), or a folder.

        The table has separators, is JSON, or is in fastText's format; its content shows which, and a
        `separator` or a `header` that is given overrules that (see `tables.read_table`). Columns are
        named or counted from 1, several text columns are joined by a space; without names, they are
        guessed, with the help of the `classes` that a classifier has. A folder has a sub-folder
        for each class with a text in each file, or a file for each class with a text in each line.

        Raises ChargenError for a source that cannot be read or holds no labelled text, where the
        columns cannot be told, and for bad rows, with their lines, unless `skip_bad_rows` leaves those
        out and counts them in a note.
        """
        (source,) = arguments.sources([source], "source")
        columns = [str(column) for column in ([text] if isinstance(text, str | int) else text)]
        label = None if label is None else str(label)
        path = Path(source)
        if path.is_dir():
            return _folder(path, encoding)
        file = Text.open([source], encoding)
        content = "".join(file.pieces())
        if not content.strip():
            raise ChargenError(f"{source} is empty: there is no text to learn from")
        requested = [*columns, *([label] if label else [])]
        table = read_table(source, content, separator=separator, header=header, requested=requested)
        if not skip_bad_rows:
            refuse_or_note(source, table.bad, skip_bad_rows)  # before the columns are guessed from it
        if not table.rows:
            raise ChargenError(f"{source} holds no labelled text ({table.note})")
        label_column = table.column(label) if label else table.guess_label(set(classes))
        text_columns = [table.column(name) for name in columns] or table.guess_texts(label_column)
        rows, bad = table.select({"label": [label_column], "text": text_columns})
        left_out = refuse_or_note(source, bad, skip_bad_rows)
        if not rows:
            raise ChargenError(f"{source} holds no labelled text: {left_out[0]}")
        texts = [values["text"] for _, values in rows]
        labels = [values["label"] for _, values in rows]
        described = " and ".join(map(table.describe, text_columns))
        notes = [
            table.note,
            *table.remarks,
            f"label: {table.describe(label_column)}, text: {described}; "
            f"for example: {example(rows[0][1])}",
            *left_out,
        ]
        if len(set(labels)) > MAX_CLASSES:
            raise ChargenError(
                f"{source} has {len(set(labels)):,} different labels, more than {MAX_CLASSES:,}",
                "name the column that holds the labels with {label}",
            )
        return cls(texts, labels, file.name, file.sha256, notes)


def class_indices(labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Returns the index of each of the `labels` (N,) in `classes`; -1 for one that is not there."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers.get(label, -1) for label in labels], np.int64)


def labelled_texts(data: Any, name: str) -> Labelled:
    """Returns labelled texts as they are; raises ChargenError for anything else."""
    if isinstance(data, Labelled):
        if not len(data):
            raise ChargenError(f"{name} holds no texts", "give at least a few for each class")
        return data
    if isinstance(data, str | os.PathLike):
        hint = f"give Labelled.open({os.fspath(data)!r})"
    else:
        hint = "give Labelled(texts, labels), with two lists of one length"
    raise ChargenError(f"{name} must be Labelled, got {arguments.shown(data)}", hint)


def languages() -> Path:
    """Returns the path of the table of sentences in many languages that comes with chargen."""
    package = Path(__file__).parent.parent
    folders = (package / "datasets", package.parent / "data")  # installed, or in a checkout
    return next(folder for folder in folders if folder.exists()) / "languages.tsv"


def _label(label: Any, index: int) -> str:
    """Returns a label as a string; raises ChargenError where it is neither a string nor a number."""
    label = label.item() if hasattr(label, "item") else label  # of NumPy and torch
    if not isinstance(label, str | int | float) or label != label:
        raise ChargenError(
            f"labels[{index}] must be a string or a number, got {arguments.shown(label)}",
            "leave out the texts without a label",
        )
    return str(label)


def _order(label: str) -> tuple[int, str]:
    return (0, label.zfill(20)) if label.isdecimal() else (1, label)


def _folder(folder: Path, encoding: str) -> Labelled:
    """Reads a sub-folder per class with a text in each file, or a file per class, a text per line."""
    texts, labels, empty, digest = [], [], [], hashlib.sha256()
    with _reading(folder):
        subfolders = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    for path in (folder / name for name in names):
        if path.name in subfolders:
            of_class = ["".join(Text.open([f], encoding).pieces()).strip() for f in _files(path)]
            label = path.name
        else:
            content = "".join(Text.open([str(path)], encoding).pieces())
            of_class, label = [line.strip() for line in content.split("\n")], path.stem
        of_class = [text for text in of_class if text]
        if not of_class:
            empty.append(label)
        texts += of_class
        labels += [label] * len(of_class)
        digest.update("\0".join([label, *of_class]).encode())
    if not texts:
        raise ChargenError(f"the folder {str(folder)!r} holds no texts in sub-folders or files")
    notes = [f"{len(set(labels)):,} classes by the names in {folder}"]
    if empty:
        shown = ", ".join(map(repr, empty[:_LISTED])) + (", …" if len(empty) > _LISTED else "")
        notes.append(f"left out {len(empty):,} without a text: {shown}")
    return Labelled(texts, labels, folder.resolve().name, digest.hexdigest(), notes)


def _files(folder: Path) -> list[str]:
    """Returns the files below a folder, sorted by path, hidden ones left out."""

    def refuse(error: OSError) -> None:
        raise error

    with _reading(folder):
        paths = [
            Path(directory, name)
            for directory, _, names in os.walk(folder, onerror=refuse)
            for name in names
            if not name.startswith(".")
        ]
        return [str(path) for path in sorted(paths) if path.is_file()]


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Turns what the system says of a folder that cannot be read into one sentence."""
    try:
        yield
    except OSError as error:
        name = error.filename or folder
        raise ChargenError(f"{name} cannot be read: {error.strerror or error}") from error
