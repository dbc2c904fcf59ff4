"""Texts in padded batches, whole or cropped."""

import numpy as np
import pytest

from chargen.data.batches import Augmentation, Texts


@pytest.mark.parametrize(
    ("augmentation", "longest", "low", "high"),
    [
        (Augmentation(cropped=0.5), 21, 70, 130),
        (Augmentation(cropped=0.0, longest=9), 9, 200, 200),
        (Augmentation(cropped=1.0, longest=15), 15, 70, 130),
    ],
)
def test_a_text_shown_in_part_is_a_part_of_itself_behind_its_first_id(
    augmentation, longest, low, high
):
    texts = Texts.concatenate([np.array([99, *range(20)], np.uint8)] * 200, [0] * 200)
    ids, lengths = texts.batch(np.arange(200), augmentation, np.random.default_rng(0))
    whole = int((lengths == lengths.max()).sum())
    assert lengths.max() == longest
    assert low <= whole <= high
    assert lengths.min() >= 7
    for place, length in enumerate(lengths.tolist()):
        first, *rest = ids[:length, place].tolist()
        assert first == 99
        assert rest == list(range(rest[0], rest[0] + len(rest)))
    assert len({int(ids[1, place]) for place in range(200)}) > 5
