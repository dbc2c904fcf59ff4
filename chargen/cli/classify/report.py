"""The report of a classifier's score, as a table and for --json."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chargen.evaluation.classes import ClassScore

MAX_CLASSES = 30  # listed in the table


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
