"""chargen: character-level recurrent language models that learn any text and can be seen through.

    writer = chargen.TextGenerator.new(text).fit(text, minutes=3)
    print(writer.generate("Once ", length=200))

docs/python.md has the rest.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from chargen.classifier import TextClassifier as TextClassifier
    from chargen.compression.packing import Packing as Packing
    from chargen.data.batches import Coverage as Coverage
    from chargen.data.corpus import Corpus as Corpus
    from chargen.data.encoding import Coverages as Coverages
    from chargen.data.labelled import Labelled as Labelled
    from chargen.data.text import Text as Text
    from chargen.errors import ChargenError as ChargenError
    from chargen.evaluation.classes import ClassScore as ClassScore
    from chargen.evaluation.language import Score as Score
    from chargen.evaluation.predictions import Predictions as Predictions
    from chargen.generation.constraints import CharacterConstraint as CharacterConstraint
    from chargen.generation.copy_limit import CopyLimit as CopyLimit
    from chargen.generation.decoder import Clamp as Clamp
    from chargen.generation.decoder import Decoder as Decoder
    from chargen.generation.prefix import Prefix as Prefix
    from chargen.generation.sampler import Sampler as Sampler
    from chargen.generator import TextGenerator as TextGenerator
    from chargen.inspection.components import ComponentCorrelation as ComponentCorrelation
    from chargen.inspection.copies import Copies as Copies
    from chargen.inspection.copies import Passage as Passage
    from chargen.inspection.copies import Report as Report
    from chargen.inspection.explanation import Explanation as Explanation
    from chargen.inspection.gradients import GradientReach as GradientReach
    from chargen.inspection.surprise import Character as Character
    from chargen.inspection.surprise import Line as Line
    from chargen.inspection.surprise import Spot as Spot
    from chargen.inspection.surprise import Surprise as Surprise
    from chargen.model import Classifier as Classifier
    from chargen.model import LanguageModel as LanguageModel
    from chargen.runs.classifier_run import ClassifierResumePoint as ClassifierResumePoint
    from chargen.runs.classifier_run import ClassifierRun as ClassifierRun
    from chargen.runs.run import ResumePoint as ResumePoint
    from chargen.runs.run import Run as Run
    from chargen.shapes import ClassifierConfig as ClassifierConfig
    from chargen.shapes import ModelConfig as ModelConfig
    from chargen.shapes import StateComponent as StateComponent
    from chargen.storage.record import ClassifierRecord as ClassifierRecord
    from chargen.storage.record import CorpusRecord as CorpusRecord
    from chargen.storage.record import LabelledRecord as LabelledRecord
    from chargen.storage.record import Record as Record
    from chargen.tokenizers.base import Tokenizer as Tokenizer
    from chargen.training.config import TrainConfig as TrainConfig
    from chargen.training.distributed import Ranks as Ranks
    from chargen.training.labelled import Preparation as Preparation
    from chargen.training.labelled import PreparedTraining as PreparedTraining
    from chargen.training.loop import Step as Step
    from chargen.training.state import TrainingState as TrainingState

__version__ = "0.1.0"

# Torch takes seconds to import. A module is imported only when one of its names is first used, so
# that `chargen --help` answers at once.
_MODULES = {
    "Character": "inspection.surprise",
    "CharacterConstraint": "generation.constraints",
    "ChargenError": "errors",
    "Clamp": "generation.decoder",
    "ClassScore": "evaluation.classes",
    "Classifier": "model",
    "ClassifierConfig": "shapes",
    "ClassifierRecord": "storage.record",
    "ClassifierResumePoint": "runs.classifier_run",
    "ClassifierRun": "runs.classifier_run",
    "ComponentCorrelation": "inspection.components",
    "Copies": "inspection.copies",
    "CopyLimit": "generation.copy_limit",
    "Corpus": "data.corpus",
    "CorpusRecord": "storage.record",
    "Coverage": "data.batches",
    "Coverages": "data.encoding",
    "Decoder": "generation.decoder",
    "Explanation": "inspection.explanation",
    "GradientReach": "inspection.gradients",
    "Labelled": "data.labelled",
    "LabelledRecord": "storage.record",
    "LanguageModel": "model",
    "Line": "inspection.surprise",
    "ModelConfig": "shapes",
    "Packing": "compression.packing",
    "Passage": "inspection.copies",
    "Predictions": "evaluation.predictions",
    "Prefix": "generation.prefix",
    "Preparation": "training.labelled",
    "PreparedTraining": "training.labelled",
    "Ranks": "training.distributed",
    "Record": "storage.record",
    "Report": "inspection.copies",
    "ResumePoint": "runs.run",
    "Run": "runs.run",
    "Sampler": "generation.sampler",
    "Score": "evaluation.language",
    "Spot": "inspection.surprise",
    "StateComponent": "shapes",
    "Step": "training.loop",
    "Surprise": "inspection.surprise",
    "Text": "data.text",
    "TextClassifier": "classifier",
    "TextGenerator": "generator",
    "Tokenizer": "tokenizers.base",
    "TrainConfig": "training.config",
    "TrainingState": "training.state",
}
__all__ = list(_MODULES)

_NEW = "chargen.TextGenerator.new(text)"
_INSTEAD = {
    "load": "chargen.TextGenerator.load(folder), or chargen.TextClassifier.load(folder)",
    "new": _NEW,
    "train": f"{_NEW}.fit(text, minutes=3)",
    "fit": f"{_NEW}.fit(text, minutes=3)",
    "generate": 'chargen.TextGenerator.load(folder).generate("…")',
    "sample": 'chargen.TextGenerator.load(folder).generate("…")',
    "write": 'chargen.TextGenerator.load(folder).generate("…")',
    "classify": 'chargen.TextClassifier.load(folder).predict("…")',
    "predict": 'chargen.TextClassifier.load(folder).predict("…")',
    "open": "chargen.Text.open([path])",
    "Generator": "chargen.TextGenerator",
    "Model": "chargen.TextGenerator",
    "LSTM": f'{_NEW[:-1]}, cell="lstm")',
}


def __getattr__(name: str) -> _typing.Any:
    if name in _MODULES:
        return getattr(_importlib.import_module(f"chargen.{_MODULES[name]}"), name)
    from chargen.suggestions import no_attribute

    raise AttributeError(no_attribute("module 'chargen'", name, __all__, _INSTEAD))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
