"""How well a classifier sorts texts, beside the linear classifier that a person would take instead.

    python -m benchmarks.classification data/languages.tsv --crops
    python -m benchmarks.classification data/names --test 0.2 --balance
    python -m benchmarks.classification ag-news.csv --test 1000

Each seed draws other test texts, stratified. chargen gets the rest, and keeps a tenth of that to
validate on. Beside it stand its own n-grams alone and, if scikit-learn is installed, tf-idf of
n-grams within words with logistic regression, whose C is chosen on three folds of all of the rest.
Without a table, made-up names of made-up countries are sorted.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import report
from chargen.classifier import TextClassifier
from chargen.data.labelled import Labelled
from chargen.evaluation.classes import ClassScore, score_logits
from chargen.evaluation.lengths import crops as cut

STRENGTHS = (1.0, 10.0, 100.0)  # C, to choose from


def made_names(count: int = 4000, countries: int = 8, seed: int = 0) -> Labelled:
    """Returns made-up names of countries of very different size, each with syllables of its own."""
    rng = np.random.default_rng(seed)
    consonants, vowels = list("bcdfghjklmnprstvz"), list("aeiouy")
    shares = 0.5 ** np.arange(countries)
    texts, labels = [], []
    for country, share in enumerate(shares / shares.sum()):
        syllables = ["".join((*rng.choice(consonants, 1), *rng.choice(vowels, 1))) for _ in range(25)]
        ends = ["".join(rng.choice(consonants, 2)) for _ in range(4)]
        for _ in range(max(20, round(share * count))):
            middle = "".join(rng.choice(syllables, rng.integers(1, 4)))
            texts.append((middle + str(rng.choice(ends))).capitalize())
            labels.append(f"country {country}")
    return Labelled(texts, labels, "made-up names")


def measure(
    data: Labelled,
    test: float,
    seeds: int = 3,
    crops: bool = False,
    peer: bool = True,
    balance: bool = False,
    wide: bool = True,
    hidden: int = 192,
    bidirectional: bool = False,
    **budget: Any,
) -> list[dict[str, Any]]:
    """Returns a row for the test texts, and one for each kind of their crops, with means over seeds.

    `test` is the share of the test texts, or their number from 1 on.
    """
    share = test / len(data) if test >= 1 else test
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        training, held_out = data.split(share, seed)
        began = time.perf_counter()
        reader = TextClassifier.new(
            training, hidden_size=hidden, bidirectional=bidirectional, wide=wide, seed=seed
        )
        reader.fit(training, balance=balance, seed=seed, **budget)
        seconds = time.perf_counter() - began
        parts = {"texts": held_out}
        if crops:
            pairs, words = cut(held_out)
            parts |= {name: part for name, part in (("pairs", pairs), ("words", words)) if len(part)}
        peers = peer_scores(training, list(parts.values()), balance) if peer else {}
        for (name, part), *others in zip(parts.items(), *peers.values(), strict=True):
            row = {"texts": float(len(part)), "minutes": seconds / 60}
            row |= figures("", reader.evaluate(part))
            if reader.linear is not None:
                logits = reader.linear.logits(part.texts)
                row |= figures("n-grams ", score_logits(logits, part.labels, reader.classes))
            for other, score in zip(peers, others, strict=True):
                row |= figures(f"{other} ", score)
            rows.setdefault(name, []).append(row)
    return [{"on": name, **means(of_seeds)} for name, of_seeds in rows.items()]


def figures(name: str, score: ClassScore) -> dict[str, float]:
    """Returns the figures of a score, each with the name of its classifier before it."""
    shown = {"accuracy": score.accuracy, "macro-F1": score.macro_f1, "ECE": score.calibration_error}
    return {f"{name}{key}": value for key, value in shown.items()}


def means(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Returns the mean of each figure over the seeds; of two or more, with its standard error."""
    result: dict[str, Any] = {}
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        result[key] = round(float(values.mean()), 4)
        if len(rows) > 1 and key.endswith(("accuracy", "macro-F1")):
            result[f"{key} ±"] = round(float(values.std(ddof=1)) / len(rows) ** 0.5, 4)
    return result


def peer_scores(
    training: Labelled, parts: Sequence[Labelled], balance: bool
) -> dict[str, list[ClassScore]]:
    """Returns the scores of scikit-learn on each part; empty where it is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        return {}
    text = importlib.import_module("sklearn.feature_extraction.text")
    linear = importlib.import_module("sklearn.linear_model")
    search = importlib.import_module("sklearn.model_selection")
    pipeline = importlib.import_module("sklearn.pipeline")
    vectors = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    weighting = "balanced" if balance else None
    regression = linear.LogisticRegression(max_iter=1000, class_weight=weighting)
    chosen = search.GridSearchCV(
        pipeline.make_pipeline(vectors, regression),
        {"logisticregression__C": STRENGTHS},
        cv=3,
        scoring="f1_macro" if balance else "accuracy",
    ).fit(training.texts, training.labels)
    classes = [str(name) for name in chosen.classes_]
    scores = []
    for part in parts:
        probabilities: npt.NDArray[np.float64] = chosen.predict_proba(part.texts)
        logits = torch.from_numpy(np.log(np.maximum(probabilities, 1e-300)))
        scores.append(score_logits(logits, part.labels, classes))
    return {"scikit-learn": scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", help="as for `chargen classify train`")
    parser.add_argument("--test", type=float, default=0.1, help="share or number of the test texts")
    parser.add_argument("--texts", type=int, help="take only so many texts, drawn")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--crops", action="store_true", help="also pairs and single words of the texts"
    )
    parser.add_argument("--balance", action="store_true")
    parser.add_argument("--no-wide", action="store_true")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--label", help="column of the labels")
    parser.add_argument("--no-header", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    header = False if given.no_header else None
    data = made_names()
    if given.table:
        data = Labelled.open(given.table, label=given.label, header=header)
    if given.texts and given.texts < len(data):
        data = replace(data.split(given.texts / len(data))[1], name=data.name)
    rows = measure(
        data,
        given.test,
        given.seeds,
        given.crops,
        not given.no_peer,
        given.balance,
        not given.no_wide,
        given.hidden,
        given.bidirectional,
        minutes=given.minutes,
        epochs=given.epochs,
    )
    report([{"table": data.name, **row} for row in rows], given.json)


if __name__ == "__main__":
    main()
