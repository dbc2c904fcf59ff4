"""Classifying for visitors: requests are checked here, as in `generation`."""

from __future__ import annotations

from chargen.data.labelled import Labelled, languages
from chargen.errors import ChargenError
from chargen.web.model_store import CLASSIFIER, ModelStore
from chargen.web.training_job import SUFFIXES

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


def held_out(store: ModelStore, model: str) -> Labelled:
    """Returns the texts that a classifier was validated on when the page trained it.

    Raises ChargenError for an unknown model, and where its texts are not there any more, or were held
    out in another way.
    """
    record, folder = store.classifier(model).record, store.folder(model, CLASSIFIER)
    tables = [folder / (folder.name + suffix) for suffix in SUFFIXES]
    for source in (*tables, languages()):
        if source.is_file():
            data = Labelled.open(source, skip_bad_rows=True)
            training, validation = data.split(seed=record.training.get("seed", 0))
            # An equal count of the training texts means an equal share, and so an equal choice.
            same = (data.sha256, len(training)) == (record.corpus.sha256, record.corpus.texts)
            if same and len(validation):
                return validation
    raise ChargenError(
        f"the texts that {model!r} was validated on are not known here; measure it on other texts by "
        "chargen classify eval"
    )
