"""The models that the page may use: those in the checkpoints folder, by name, never by path."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import chargen
from chargen.errors import ChargenError
from chargen.generator import STARTER as STARTER_FOLDER
from chargen.storage import checkpoint

STARTER = "starter"
GENERATOR, CLASSIFIER = checkpoint.KIND, checkpoint.CLASSIFIER
_CACHED = 4  # models in memory


class ModelStore:
    """Finds models by the name of their folder and keeps the last few that were used in memory."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self._lock = threading.Lock()
        # By folder: when its manifest was written, and the model.
        self._cache: OrderedDict[Path, tuple[float, Any]] = OrderedDict()

    def names(self, kind: str) -> list[str]:
        """Returns the names of all models of a `kind`, newest first, the starter model last."""
        dated = []
        for manifest in self.checkpoints.glob("*/manifest.json"):
            try:
                record = json.loads((manifest.parent / "config.json").read_text("utf-8"))
                if record["kind"] == kind:
                    dated.append((manifest.stat().st_mtime, manifest.parent.name))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # not a model, or one that is being written
        names = [name for _, name in sorted(dated, reverse=True) if name != STARTER]
        return [*names, STARTER] if kind == GENERATOR else names

    def generator(self, name: str) -> chargen.TextGenerator:
        """Returns the generator called `name`; raises ChargenError if there is none."""
        generator: chargen.TextGenerator = self._load(name, GENERATOR)
        return generator

    def classifier(self, name: str) -> chargen.TextClassifier:
        """Returns the classifier called `name`; raises ChargenError if there is none."""
        classifier: chargen.TextClassifier = self._load(name, CLASSIFIER)
        return classifier

    def folder(self, name: str, kind: str = GENERATOR) -> Path:
        """Returns the folder of the model called `name`; raises ChargenError if there is none."""
        # The name must be one of the list: joined to a path unchecked, it could lead anywhere.
        if name not in self.names(kind):
            raise ChargenError(f"there is no model {name!r}", "take another {model}")
        return STARTER_FOLDER if name == STARTER else self.checkpoints / name

    def _load(self, name: str, kind: str) -> Any:
        folder = self.folder(name, kind)
        modified = (folder / "manifest.json").stat().st_mtime
        with self._lock:
            cached = self._cache.pop(folder, None)
            if cached is None or cached[0] != modified:
                load = chargen.TextGenerator.load if kind == GENERATOR else chargen.TextClassifier.load
                cached = modified, load(folder)
            self._cache[folder] = cached
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return cached[1]
