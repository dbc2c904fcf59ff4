"""How good a classifier is, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chargen.evaluation.classes import ClassScore

MOST_CLASSES_SHOWN = 30


def measures(score: ClassScore) -> dict[str, Any]:
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


def table(score: ClassScore) -> str:
    """Precision, recall and F1 of each class, with the class that it is most often taken for."""
    wide = max(len(name) for name in score.classes)
    lines = [f"  {'':{wide}}  precision  recall     F1  texts  taken for"]
    rows = list(enumerate(score.classes))
    rows.sort(key=lambda row: (score.per_class[row[0], 2], row[1]))
    for place, name in rows[:MOST_CLASSES_SHOWN]:
        precision, recall, f1 = score.per_class[place]
        confused = score.confusion[place].copy()
        confused[place] = 0
        most = int(confused.argmax())
        taken = f"{score.classes[most]} ({confused[most]})" if confused[most] else ""
        count = score.confusion[place].sum()
        lines.append(
            f"  {name:{wide}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {count:5}  {taken}"
        )
    if len(rows) > MOST_CLASSES_SHOWN:
        lines.append(f"  … and {len(rows) - MOST_CLASSES_SHOWN} classes that do better")
    return "\n".join(lines)
