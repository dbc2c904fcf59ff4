"""N-grams and the linear classifier that counts them."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chargen.linear import LinearClassifier, chunks
from chargen.ngrams import LONGEST, hash_ngrams


def listed(texts):
    """The n-grams of each text, by their characters, with the spaces around it."""
    ngrams = hash_ngrams(texts)
    found = [[] for _ in texts]
    for text, start, end in zip(ngrams.texts, ngrams.starts, ngrams.ends, strict=True):
        found[text].append(f" {texts[text]} "[start + 1 : end + 1])
    return found


def plain(text):
    """The same, one by one."""
    padded, found = f" {text} ", []
    for size in range(1, LONGEST + 1):
        for start in range(len(padded) - size + 1):
            ngram = padded[start : start + size]
            edges = ngram[0].isspace() and ngram[-1].isspace()
            if not edges and not any(one.isspace() for one in ngram[1:-1]):
                found.append(ngram)
    words = text.split()
    return found, words, list(pairwise(words))


@given(
    st.lists(st.text(alphabet=st.sampled_from("abÄß \n\tİ😀"), max_size=12), min_size=1, max_size=4)
)
def test_the_ngrams_are_those_within_words(texts):
    for text, found in zip(texts, listed(texts), strict=True):
        ngrams, words, pairs = plain(text)
        assert len(found) == len(ngrams) + len(words) + len(pairs)
        assert not Counter([*ngrams, *words]) - Counter(found)


def test_equal_ngrams_have_equal_hashes_wherever_they_are():
    alone = set(hash_ngrams(["Ship"]).hashes.tolist())
    within = set(hash_ngrams(["the ship\tsails"]).hashes.tolist())
    assert alone <= within  # capital letters count as small ones, any white space as a space
    assert len(alone) == len({*plain("ship")[0]}) + 1
    assert not alone & set(hash_ngrams(["xyz"]).hashes.tolist())


def test_an_order_of_words_makes_other_pairs_only():
    one, other = (set(hash_ngrams([text]).hashes.tolist()) for text in ("good day", "day good"))
    assert len(one - other) == len(other - one) == 1


def linear(texts, classes=2):
    hashes = np.unique(hash_ngrams(texts).hashes)
    rng = torch.Generator().manual_seed(0)
    return LinearClassifier(
        hashes,
        np.ones(len(hashes), np.float32),
        torch.randn(len(hashes), classes, generator=rng),
        torch.randn(classes, generator=rng),
    )


def test_logits_do_not_depend_on_the_other_texts():
    texts = ["the sea", "", "a bird sings", "xq"]
    classifier = linear(texts[:3])
    together = classifier.logits(texts)
    for row, text in zip(together, texts, strict=True):
        assert torch.allclose(row, classifier.logits([text])[0], atol=1e-6)
    assert torch.equal(together[1], classifier.bias)  # a text without n-grams
    assert classifier.logits([]).shape == (0, 2)


def test_the_contributions_of_characters_sum_to_the_logit():
    text = "a Bird sings, a bird!"
    classifier = linear([text], classes=3)
    logits = classifier.logits([text])[0] - classifier.bias
    for index in range(3):
        contributions = classifier.contributions(text, index)
        assert contributions.shape == (len(text),)
        assert contributions.sum() == pytest.approx(float(logits[index] - logits.mean()), abs=1e-4)


def test_chunks_are_all_of_the_texts_in_order():
    texts = ["x" * size for size in (1 << 18, 1 << 20, 3, 0, 1 << 19, 5)]
    parts = list(chunks(texts))
    assert [text for part in parts for text in part] == texts
    assert len(parts) > 1
    assert list(chunks([])) == []
