"""The model that a command works with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chargen.cli.terminal import say
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier
if TYPE_CHECKING:
    from chargen.generator import TextGenerator


def load_model(folder: str | None) -> TextGenerator:
    """The generator in a checkpoint folder, or the one that a person would mean by saying nothing."""
    from chargen.generator import TextGenerator

    return TextGenerator.load(model_folder(folder))


def model_folder(folder: str | None) -> str:
    """The folder asked for, or the newest model's, or the starter's, and says which."""
    if folder is not None:
        return folder
    from chargen.generator import STARTER
    from chargen.storage.checkpoint import newest

    found = newest(Path("checkpoints"))
    say(f"model: {found or 'the starter model of the package (train your own: chargen train)'}")
    return str(found or STARTER)


def load_classifier(model: str | None) -> tuple[str, TextClassifier]:
    """The classifier in a checkpoint folder, or the newest one, and where it is."""
    from chargen.classifier import TextClassifier
    from chargen.storage.checkpoint import CLASSIFIER, newest

    if model is None:
        found = newest(Path("checkpoints"), CLASSIFIER)
        if found is None:
            raise ChargenError(
                "there is no classifier under ./checkpoints; make one with: chargen classify train"
            )
        say(f"model: {found}")
        model = str(found)
    return model, TextClassifier.load(model)
