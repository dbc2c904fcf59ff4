"""The models that the page may use: those under the checkpoints folder, by name, never by path."""

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
_HELD = 4  # models kept in memory


class ModelStore:
    """Finds models by the name of their folder, and keeps those that were used last in memory."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self._lock = threading.Lock()
        self._held: OrderedDict[Path, tuple[float, Any]] = OrderedDict()

    def names(self, kind: str) -> list[str]:
        """The newest first; the starter model, which always is there, comes last."""
        found = []
        for manifest in self.checkpoints.glob("*/manifest.json"):
            try:
                record = json.loads((manifest.parent / "config.json").read_text("utf-8"))
                if record["kind"] == kind:
                    found.append((manifest.stat().st_mtime, manifest.parent.name))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # no model, or half of one: nothing to choose
        names = [name for _, name in sorted(found, reverse=True) if name != STARTER]
        return [*names, STARTER] if kind == GENERATOR else names

    def writer(self, name: str) -> chargen.TextGenerator:
        """The generator of this name; raises ChargenError where there is none."""
        found: chargen.TextGenerator = self._find(name, GENERATOR)
        return found

    def reader(self, name: str) -> chargen.TextClassifier:
        """The classifier of this name; raises ChargenError where there is none."""
        found: chargen.TextClassifier = self._find(name, CLASSIFIER)
        return found

    def folder(self, name: str, kind: str = GENERATOR) -> Path:
        """Where the model of this name is; raises ChargenError where there is none."""
        # Compared with what is there, not joined to a path: no name leads out of the folder.
        if name not in self.names(kind):
            raise ChargenError(f"there is no model {name!r}; choose one from the menu")
        return STARTER_FOLDER if name == STARTER else self.checkpoints / name

    def _find(self, name: str, kind: str) -> Any:
        folder = self.folder(name, kind)
        stamp = (folder / "manifest.json").stat().st_mtime
        with self._lock:
            held = self._held.pop(folder, None)
            if held is None or held[0] != stamp:
                load = chargen.TextGenerator.load if kind == GENERATOR else chargen.TextClassifier.load
                held = stamp, load(folder)
            self._held[folder] = held
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
        return held[1]
