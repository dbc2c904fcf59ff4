"""The report of a classifier's score, as a table and for --json."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from chargen.cli.terminal import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chargen.evaluation.classes import ClassScore
    from chargen.evaluation.lengths import LengthBin
    from chargen.evaluation.mistakes import Mistake

MAX_CLASSES = 30  # listed in the table
_CROPS = {"pairs": "pairs of words", "words": "single words"}


def measures(score: ClassScore) -> dict[str, Any]:
    """Returns a score as --json prints it; `nats` is None where it is not a number."""
    return {
        "accuracy": score.accuracy,
        "macro_f1": score.macro_f1,
        "calibration_error": score.calibration_error,
        "nats": None if score.nats != score.nats else score.nats,
        "classes": score.classes,
        "per_class": {
            name: {
                "precision": float(row[0]),
                "recall": float(row[1]),
                "f1": float(row[2]),
                "texts": int(count),
            }
            for name, row, count in zip(
                score.classes, score.per_class, score.confusion.sum(1), strict=True
            )
        },
        "confusion": score.confusion.tolist(),
    }


def label_text(label: str) -> str:
    """Returns a label so that it can be told apart from what stands beside it.

    All but a word, such as "New York", "a, b" or "3", is quoted, as in JSON.
    """
    word = re.fullmatch(r"[^\W\d]\S*", label) and not re.search(r"[,;:\"()]", label)
    return label if word and label.isprintable() else json.dumps(label, ensure_ascii=False)


def table(score: ClassScore) -> str:
    """Returns a row per class, lowest F1 first, with the class that it is most often taken for."""
    names = [label_text(name) for name in score.classes]
    width = max(map(len, names))
    lines = [f"  {'':{width}}  precision  recall     F1  texts  taken for"]
    order = sorted(range(len(score.classes)), key=lambda i: (score.per_class[i, 2], score.classes[i]))
    for i in order[:MAX_CLASSES]:
        precision, recall, f1 = score.per_class[i]
        texts = score.confusion[i].sum()
        mistakes = score.confusion[i].copy()
        mistakes[i] = 0
        worst = int(mistakes.argmax())
        mistaken = f"{names[worst]} ({mistakes[worst]})" if mistakes[worst] else ""
        lines.append(
            f"  {names[i]:{width}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {texts:5}  {mistaken}"
        )
    if len(order) > MAX_CLASSES:
        lines.append(f"  … and {len(order) - MAX_CLASSES} classes that do better")
    return "\n".join(lines)


def length_table(bins: Iterable[LengthBin], crops: dict[str, dict[str, Any]] | None) -> str:
    """Returns a row per bin of lengths and, if there are `crops`, one for each kind of them."""
    rows = [(one.words, one.texts, one.accuracy, "") for one in bins]
    for kind, measured in (crops or {}).items():
        if measured["texts"]:
            macro_f1 = f"macro-F1 {measured['macro_f1']:.3f}"
            rows.append((_CROPS[kind], measured["texts"], measured["accuracy"], macro_f1))
    width = max(len("words"), *(len(name) for name, _, _, _ in rows))
    lines = [f"  {'words':{width}}    texts  accuracy"]
    lines += [
        f"  {name:{width}}  {texts:7,}  {accuracy:8.1%}  {more}".rstrip()
        for name, texts, accuracy, more in rows
    ]
    return "\n".join(["by length", *lines])


def mistake_list(mistakes: Iterable[Mistake]) -> str:
    """Returns a row per mistake: its probability, its prediction, its label and its text in a line."""
    rows = [
        (f"{one.confidence:.2f}", label_text(one.prediction), label_text(one.label), one.line())
        for one in mistakes
    ]
    widths = [
        max(len(row[column]) for row in [*rows, ("", "predicted", "label")]) for column in (1, 2)
    ]
    head = f"        {'predicted':{widths[0]}}  {'label':{widths[1]}}"
    lines = [
        f"  {sure}  {predicted:{widths[0]}}  {label:{widths[1]}}  {shown(text, sys.stdout)}"
        for sure, predicted, label, text in rows
    ]
    return "\n".join(["most confident mistakes: their labels may be wrong", head.rstrip(), *lines])
