"""Finds the model that a command works with, says which one it is, and loads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chargen.cli.terminal import say, say_escapes, say_notes
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier
    from chargen.generator import TextGenerator

MANY = 50_000  # characters, which take longer to read or write than torch takes to import


def model_folder(folder: str | None) -> str:
    """Returns `folder`, or without one the newest generator under ./checkpoints, else the starter."""
    if folder is not None:
        return folder
    from chargen.generator import STARTER
    from chargen.storage.checkpoint import newest

    newest_folder = newest(Path("checkpoints"))
    starter = "the starter model of the package (train your own: chargen train)"
    say(f"model: {newest_folder or starter}")
    return str(newest_folder or STARTER)


def load_model(folder: str | None) -> TextGenerator:
    """Loads the generator in `folder`, or without one that of `model_folder`."""
    from chargen.generator import TextGenerator

    return TextGenerator.load(model_folder(folder))


def import_torch(characters: int) -> None:
    """Imports torch for many characters: it multiplies twice as fast, and takes a second to begin."""
    if characters > MANY:
        import torch  # noqa: F401


def load_and_adapt(folder: str | None, text: str, unknown: str) -> tuple[TextGenerator, str]:
    """Loads a generator and adapts `text` to the characters that it knows.

    Says what was changed. `unknown` is the value of --unknown, "error" or "skip".
    """
    writer = load_model(folder)
    say_escapes(text, "the text", writer.tokenizer.knows("\\"))
    text, notes = writer.adapt(text, skip=unknown == "skip")
    say_notes(notes)
    return writer, text


def load_classifier(folder: str | None) -> tuple[str, TextClassifier]:
    """Loads the classifier in `folder`, or without one the newest; returns its folder, too."""
    from chargen.classifier import TextClassifier
    from chargen.storage.checkpoint import CLASSIFIER, newest

    if folder is None:
        newest_folder = newest(Path("checkpoints"), CLASSIFIER)
        if newest_folder is None:
            raise ChargenError(
                "there is no classifier under ./checkpoints", "make one with: chargen classify train"
            )
        say(f"model: {newest_folder}")
        folder = str(newest_folder)
    return folder, TextClassifier.load(folder)
