"""The library's errors in the words of the page: each parameter that it offers, by its label."""

from chargen.errors import ChargenError

# By the library's term. A hint that names anything else is of no use on the page and is left out.
LABELS = {
    "at_least": "Answer only when at least … % sure",
    "component": "Cell",
    "encoding": "Encoding",
    "layer": "Layer",
    "length": "Length",
    "min_p": "Min-p",
    "minutes": "Minutes",
    "model": "Model",
    "name": "Name",
    "num": "Texts",
    "seed": "Seed",
    "skip_bad_rows": "Leave out rows that cannot be used",
    "split_on": "What is in it",
    "temperature": "Temperature",
    "text": "Text",
    "top_k": "Top-k",
    "top_p": "Top-p",
    "value": "Value",
}


def quoted(term: str) -> str:
    """Returns the label of a parameter as it stands in a sentence."""
    return f"“{LABELS[term]}”"


def error_text(error: ChargenError) -> str:
    """Returns what is wrong and, where the page offers it, the next step."""
    return error.text(lambda term: quoted(term) if term in LABELS else None)


# What a score is compared with, by the library's name.
BASELINES = {
    "unigram model": "letter frequencies",
    "5-gram model": "looks 5 letters back",
    "xz": "a compressor (xz)",
    "largest class": "always the largest class",
    "n-grams": "counts n-grams",
}
UNSEEN = "text it has never seen"  # the validation part
BITS = "2 bits per character are a choice among four equally likely characters; lower is better."
