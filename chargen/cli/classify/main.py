"""`chargen classify`: learns which class a text belongs to, and says it of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.main import Lazy, say
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier


@click.group(
    cls=Lazy,
    found_in={
        "train": ("chargen.cli.classify.train", "train"),
        "predict": ("chargen.cli.classify.predict", "predict"),
        "eval": ("chargen.cli.classify.evaluate", "evaluate"),
        "compare": ("chargen.cli.classify.compare", "compare"),
        "probe": ("chargen.cli.classify.probe", "probe"),
    },
    short_help="Learn which class a text belongs to.",
)
def classify() -> None:
    """Learns which class a text belongs to: a language, a topic, a country of origin.

    \b
      chargen classify train                       tell languages apart, from sentences that come along
      chargen classify predict "où est la gare ?"
      chargen classify train reviews.csv --label stars --text review
      chargen classify eval more.csv
    """


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
