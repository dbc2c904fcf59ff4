"""Crops of one to three words."""

import numpy as np

from chargen.data.crops import MAX_CROPS, add_crops
from chargen.data.labelled import Labelled


def test_short_texts_have_crops_with_their_labels():
    data = Labelled(["the sea was good", "ship"], ["a", "b"])
    examples = add_crops(data)
    assert examples.cropped
    assert examples.data.texts[:2] == data.texts
    crops = set(examples.data.texts[2:])
    assert {"the", "sea", "was", "good", "the sea", "sea was", "was good", "the sea was"} == crops
    assert set(examples.data.labels[2:]) == {"a"}  # a text of one word is a crop already
    assert examples.sources.tolist() == [0, 1] + [0] * len(crops)


def test_long_texts_have_none():
    examples = add_crops(Labelled(["word " * 21, "word " * 30], ["a", "b"]))
    assert not examples.cropped
    assert len(examples.data) == 2
    assert examples.crops(5) is None


def test_of_a_longer_text_some_crops_are_drawn():
    data = Labelled([" ".join(map(str, range(38))), "x"], ["a", "b"])
    examples = add_crops(data, seed=3)
    assert len(examples.data) == 2 + MAX_CROPS
    assert examples.data.texts == add_crops(data, seed=3).data.texts
    few = examples.crops(7)
    assert len(few) == 7
    assert set(few.texts) <= set(examples.data.texts[2:])
    assert np.all(examples.sources[2:] == 0)
