"""Classifying for visitors: requests are checked here, as in `generation`."""

from __future__ import annotations

from chargen.errors import ChargenError
from chargen.web.model_store import ModelStore

MAX_TEXT = 10_000  # characters to classify
MAX_EXPLAINED = 1_000  # characters whose weights are computed as fast as a visitor types


def classify(
    store: ModelStore, model: str, text: str
) -> tuple[dict[str, float], list[tuple[str, float]]]:
    """Returns the probability of each class, likeliest first, and the weight of each piece of text.

    A positive weight counts for the likeliest class, a negative one against it. There are none for
    more than `MAX_EXPLAINED` characters. Raises ChargenError for an unknown model, and for more than
    `MAX_TEXT` characters.
    """
    if len(text) > MAX_TEXT:
        raise ChargenError(
            f"the text has {len(text):,} characters; at most {MAX_TEXT:,} are classified"
        )
    classifier = store.classifier(model)
    if len(text) > MAX_EXPLAINED:
        return classifier.predict(text), []
    return classifier.explain(text)
