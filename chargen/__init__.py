"""chargen: character-level recurrent language models that learn any text and can be seen through."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chargen.decoding import Clamp as Clamp
    from chargen.errors import ChargenError as ChargenError
    from chargen.inspection.copies import Copies as Copies
    from chargen.labelled import Labelled as Labelled
    from chargen.run import Run as Run
    from chargen.sampling import Sampler as Sampler
    from chargen.settings import TrainConfig as TrainConfig
    from chargen.text import Text as Text
    from chargen.text_classifier import TextClassifier as TextClassifier
    from chargen.text_generator import TextGenerator as TextGenerator

__version__ = "0.1.0"

# Torch takes seconds to import: whoever only asks for --help does not wait for it.
_HOMES = {
    "ChargenError": "chargen.errors",
    "Clamp": "chargen.decoding",
    "Copies": "chargen.inspection.copies",
    "Labelled": "chargen.labelled",
    "Run": "chargen.run",
    "Sampler": "chargen.sampling",
    "Text": "chargen.text",
    "TextClassifier": "chargen.text_classifier",
    "TextGenerator": "chargen.text_generator",
    "TrainConfig": "chargen.settings",
}
__all__ = [
    "ChargenError",
    "Clamp",
    "Copies",
    "Labelled",
    "Run",
    "Sampler",
    "Text",
    "TextClassifier",
    "TextGenerator",
    "TrainConfig",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'chargen' has no attribute {name!r}")
