"""Labelled texts, from a table (see `tables`) or a folder: each a text and its class."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from chargen.data.tables import read_table
from chargen.data.text import Text
from chargen.errors import ChargenError

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Labelled:
    """Texts and their labels, in the order in which they were read."""

    texts: list[str]
    labels: list[str]
    name: str
    sha256: str = ""
    notes: list[str] = field(default_factory=list)  # for a person, on how the source was read

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The distinct labels, sorted, numbers by their value."""
        return sorted(set(self.labels), key=_order)

    def counts(self) -> dict[str, int]:
        """Returns the number of texts of each class, the largest class first."""
        return dict(Counter(self.labels).most_common())

    def select(self, indices: Sequence[int]) -> Labelled:
        """Returns the texts at `indices`, with their labels."""
        return replace(
            self, texts=[self.texts[i] for i in indices], labels=[self.labels[i] for i in indices]
        )

    def split(self, fraction: float, seed: int) -> tuple[Labelled, Labelled]:
        """Returns a training and a validation part, stratified: `fraction` of every class goes apart.

        The only text of a class stays in the training part. `seed` draws the texts.
        """
        rng = np.random.default_rng(seed)
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
        source: str,
        *,
        text: Sequence[str] = (),
        label: str | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        skip_bad_rows: bool = False,
    ) -> Labelled:
        """Reads a CSV, TSV or JSON Lines file, standard input ("-"), or a folder.

        Columns are named or counted from 1, several text columns are joined by a space; see
        `tables.read_table`. A folder has a sub-folder for each class with a text in each file, or a
        file for each class with a text in each line.

        Raises ChargenError for a source that cannot be read or holds no labelled text, and for a bad
        row, with its line number, unless `skip_bad_rows` leaves those out and counts them in a note.
        """
        path = Path(source)
        if path.is_dir():
            return _folder(path, encoding)
        file = Text.open([source], encoding)
        content = "".join(file.pieces())
        if not content.strip():
            raise ChargenError(f"{source} is empty: there is no text to learn from")
        pairs, notes = read_table(
            source, content, text=text, label=label, header=header, skip_bad_rows=skip_bad_rows
        )
        if not pairs:
            raise ChargenError(f"{source} holds no labelled text")
        texts, labels = map(list, zip(*pairs, strict=True))
        if len(set(labels)) > MAX_CLASSES:
            raise ChargenError(
                f"{source} has {len(set(labels)):,} different labels, more than {MAX_CLASSES:,}",
                "name the column that holds the labels with {label}",
            )
        return cls(texts, labels, file.name, file.sha256, notes)


def languages() -> Path:
    """Returns the path of the table of sentences in many languages that comes with chargen."""
    package = Path(__file__).parent.parent
    folders = (package / "datasets", package.parent / "data")  # installed, or in a checkout
    return next(folder for folder in folders if folder.exists()) / "languages.tsv"


def _order(label: str) -> tuple[int, str]:
    return (0, label.zfill(20)) if label.isdecimal() else (1, label)


def _folder(folder: Path, encoding: str) -> Labelled:
    """Reads a sub-folder per class with a text in each file, or a file per class, a text per line."""
    texts, labels, digest = [], [], hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            of_class = [
                "".join(Text.open([str(file)], encoding).pieces()).strip()
                for file in sorted(path.rglob("*"))
                if file.is_file() and not file.name.startswith(".")
            ]
            label = path.name
        else:
            content = "".join(Text.open([str(path)], encoding).pieces())
            of_class, label = [line.strip() for line in content.split("\n")], path.stem
        of_class = [text for text in of_class if text]
        texts += of_class
        labels += [label] * len(of_class)
        digest.update("\0".join([label, *of_class]).encode())
    if not texts:
        raise ChargenError(f"the folder {str(folder)!r} holds no texts in sub-folders or files")
    note = f"{len(set(labels)):,} classes by the names in {folder}"
    return Labelled(texts, labels, folder.resolve().name, digest.hexdigest(), [note])
