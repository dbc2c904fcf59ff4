"""`chargen classify`: learns which class a text belongs to, and says it of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chargen.cli.main import Lazy

if TYPE_CHECKING:
    pass


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
