"""Labelled texts from a table, a file of JSON lines or a folder: each a text and its class.

Nothing is dropped silently: a row that is not as the others is an error with its line number, and
what was taken for a header, for the label and for the text is said.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from chargen.data.tables import json_line_rows, labelled_rows, table_kind, table_rows
from chargen.data.text import Text
from chargen.errors import ChargenError

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels, in the order in which they were read."""

    texts: list[str]
    labels: list[str]
    name: str
    sha256: str = ""
    notes: list[str] = field(default_factory=list)  # what a person should know of the reading

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The distinct labels, sorted; numbers as numbers."""
        return sorted(set(self.labels), key=_order)

    def counts(self) -> dict[str, int]:
        """How many texts each class has, the largest first."""
        return dict(Counter(self.labels).most_common())

    def select(self, places: Sequence[int]) -> Labelled:
        """The texts at these places."""
        return replace(
            self, texts=[self.texts[i] for i in places], labels=[self.labels[i] for i in places]
        )

    def split(self, fraction: float, seed: int) -> tuple[Labelled, Labelled]:
        """Keeps a share of every class apart; a class with one text stays with the first part."""
        rng = np.random.default_rng(seed)
        places: dict[str, list[int]] = {}
        for place, label in enumerate(self.labels):
            places.setdefault(label, []).append(place)
        apart: set[int] = set()
        for those in places.values():
            number = min(round(len(those) * fraction + 1e-9), len(those) - 1)
            if fraction > 0 and len(those) > 1:
                number = max(1, number)
            apart.update(rng.permutation(those)[:number].tolist())
        first = [place for place in range(len(self)) if place not in apart]
        return self.select(first), self.select(sorted(apart))

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

        Columns are named or counted from 1; several text columns are joined by a space. A folder has
        a sub-folder for each class with a text in each file, or a file for each class with a text in
        each line.

        Raises ChargenError with the line number for a row that is not as it should be, or, with
        `skip_bad_rows`, counts those rows in a note.
        """
        path = Path(source)
        if path.is_dir():
            return _folder(path, encoding)
        whole = Text.open([source], encoding)
        content = "".join(whole.pieces())
        if not content.strip():
            raise ChargenError(f"{source} is empty: there is no text to learn from")
        notes: list[str] = []
        kind = table_kind(path.suffix.lower(), content)
        rows = json_line_rows(content) if kind == "JSON lines" else table_rows(content, kind)
        found = labelled_rows(source, kind, rows, list(text), label, header, skip_bad_rows, notes)
        texts, labels = zip(*found, strict=True) if found else ((), ())
        if not texts:
            raise ChargenError(f"{source} holds no labelled text")
        result = cls(list(texts), list(labels), whole.name, whole.sha256, notes)
        if len(set(labels)) > MAX_CLASSES:
            raise ChargenError(
                f"{source} has {len(set(labels)):,} different labels, more than {MAX_CLASSES:,}: is "
                "the right column taken? Name it with --label"
            )
        return result


def languages() -> Path:
    """The sentences in many languages that come with chargen."""
    package = Path(__file__).parent.parent
    folders = (package / "datasets", package.parent / "data")
    return next(folder for folder in folders if folder.exists()) / "languages.tsv"


def _order(label: str) -> tuple[int, str]:
    return (0, label.zfill(20)) if label.isdecimal() else (1, label)


def _folder(folder: Path, encoding: str) -> Labelled:
    """A sub-folder per class with a text in each file, or a file per class, a text in each line."""
    texts, labels, digest = [], [], hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found = [
                "".join(Text.open([str(file)], encoding).pieces()).strip()
                for file in sorted(path.rglob("*"))
                if file.is_file() and not file.name.startswith(".")
            ]
            label = path.name
        else:
            content = "".join(Text.open([str(path)], encoding).pieces())
            found, label = [line.strip() for line in content.split("\n")], path.stem
        found = [text for text in found if text]
        texts += found
        labels += [label] * len(found)
        digest.update("\0".join([label, *found]).encode())
    if not texts:
        raise ChargenError(f"the folder {str(folder)!r} holds no texts in sub-folders or files")
    note = f"{len(set(labels)):,} classes by the names in {folder}"
    return Labelled(texts, labels, folder.resolve().name, digest.hexdigest(), [note])
