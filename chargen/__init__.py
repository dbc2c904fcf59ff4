"""chargen: character-level recurrent language models that learn any text and can be seen through."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier as TextClassifier
    from chargen.data.labelled import Labelled as Labelled
    from chargen.data.text import Text as Text
    from chargen.errors import ChargenError as ChargenError
    from chargen.generation.decoder import Clamp as Clamp
    from chargen.generation.prefix import Prefix as Prefix
    from chargen.generation.sampler import Sampler as Sampler
    from chargen.generator import TextGenerator as TextGenerator
    from chargen.inspection.copies import Copies as Copies
    from chargen.runs.run import Run as Run
    from chargen.training.config import TrainConfig as TrainConfig

__version__ = "0.1.0"

# Torch takes seconds to import: whoever only asks for --help does not wait for it.
_HOMES = {
    "ChargenError": "chargen.errors",
    "Clamp": "chargen.generation.decoder",
    "Copies": "chargen.inspection.copies",
    "Labelled": "chargen.data.labelled",
    "Prefix": "chargen.generation.prefix",
    "Run": "chargen.runs.run",
    "Sampler": "chargen.generation.sampler",
    "Text": "chargen.data.text",
    "TextClassifier": "chargen.classifier",
    "TextGenerator": "chargen.generator",
    "TrainConfig": "chargen.training.config",
}
__all__ = [
    "ChargenError",
    "Clamp",
    "Copies",
    "Labelled",
    "Prefix",
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
