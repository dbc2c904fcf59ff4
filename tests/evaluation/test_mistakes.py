"""The most confident mistakes come first, and each is shown in one line."""

import numpy as np

from chargen import ClassScore, Labelled
from chargen.evaluation.mistakes import Mistake, confident_mistakes


def test_the_surest_mistake_comes_first():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [1.0, 0.0], [0.3, 0.7]])
    data = Labelled(["right", "less sure", "surest", "no class", "as sure"], ["a", "b", "a", "?", "a"])
    score = ClassScore(probabilities, np.array([0, 1, 0, -1, 0]), ["a", "b"])
    mistakes = confident_mistakes(score, data)
    assert mistakes == [
        Mistake("surest", "a", "b", 0.8),
        Mistake("as sure", "a", "b", 0.7),
        Mistake("less sure", "b", "a", 0.6),
    ]
    assert confident_mistakes(score, data, 1) == mistakes[:1]
    assert confident_mistakes(score, data, 0) == []


def test_a_long_text_is_cut_to_a_line():
    mistake = Mistake(" one\ttwo\n\nthree " + "x" * 10_000, "a", "b", 0.9)
    assert mistake.line(13) == "one two thre…"
    assert mistake.line(15).startswith("one two three")
    assert "\n" not in mistake.line()
    assert len(mistake.line()) == 80
    assert Mistake("short", "a", "b", 0.9).line() == "short"
