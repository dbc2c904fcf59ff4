"""`chargen classify`: learns which class a text belongs to, and classifies others."""

from __future__ import annotations

import click

from chargen.cli.lazy_group import LazyGroup


@click.group(
    cls=LazyGroup,
    lazy_commands={
        "train": ("Train on labelled texts.", "chargen.cli.classify.train:train"),
        "predict": ("Predict the classes of texts.", "chargen.cli.classify.predict:predict"),
        "eval": ("Measure on labelled texts.", "chargen.cli.classify.evaluate:evaluate"),
        "compare": ("Compare cells, depths and directions.", "chargen.cli.classify.compare:compare"),
        "curve": ("Whether more texts would help.", "chargen.cli.classify.curve:curve"),
        "probe": ("What the state of a generator knows.", "chargen.cli.classify.probe:probe"),
    },
)
def classify() -> None:
    """Learns which class a text belongs to: a language, a topic, a country of origin.

    \b
      chargen classify train                       tell languages apart, from built-in sentences
      chargen classify predict "où est la gare ?"
      chargen classify train reviews.csv --label stars --text review
      chargen classify eval more.csv
    """
