"""How a model came to be, as config.json has it beside the model's shape.

    writer.record.corpus.name                        "shakespeare"
    writer.record.training["steps"]                  2000
    writer.record.scores["val_bits_per_character"]   2.08

A model that is saved again keeps the keys that another version of chargen wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Self, cast


@dataclass
class _Section:
    """An object in JSON. Its keys are the fields, in their order; empty fields are left out."""

    extra: dict[str, Any] = field(default_factory=dict, kw_only=True)  # keys of other versions, kept

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Returns the record that `to_json` made these values from."""
        known: dict[str, Any] = {}
        extra = dict(values)
        for one in fields(cls):
            if one.name != "extra" and one.name in extra:
                value, section = extra.pop(one.name), cast(Any, one.default_factory)
                nested = isinstance(section, type) and issubclass(section, _Section)
                known[one.name] = section.from_json(value) if nested else value
        return cls(**known, extra=extra)

    def to_json(self) -> dict[str, Any]:
        """Returns the values that config.json has."""
        values: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            value = value.to_json() if isinstance(value, _Section) else value
            # A `split_on` of null says something: the text is read as one document.
            if one.name != "extra" and (value not in (None, {}) or one.name == "split_on"):
                values[one.name] = value
        return values | self.extra


@dataclass
class CorpusRecord(_Section):
    """The text that a generator was trained on. Before any training, only `split_on` is known."""

    name: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    split_on: str | None = None  # the separator of documents; None for a text that is read as one
    val_fraction: float | None = None  # share of the text that is kept for validation
    split_seed: int | None = None  # of the choice of documents for it; None for the end of the text


@dataclass
class LabelledRecord(_Section):
    """The labelled texts that a classifier was trained on."""

    name: str | None = None
    sha256: str | None = None
    texts: int | None = None  # count


@dataclass
class Record(_Section):
    """How a generator came to be."""

    corpus: CorpusRecord = field(default_factory=CorpusRecord)
    training: dict[str, Any] = field(default_factory=dict)  # the fields of TrainConfig
    scores: dict[str, Any] = field(default_factory=dict)  # of the last evaluation, and its step


@dataclass
class ClassifierRecord(_Section):
    """How a classifier came to be."""

    max_length: int  # characters (or tokens) of a text that are read
    corpus: LabelledRecord = field(default_factory=LabelledRecord)
    training: dict[str, Any] = field(default_factory=dict)  # the fields of TrainConfig and others
    scores: dict[str, Any] = field(default_factory=dict)  # of the last evaluation, and its step
