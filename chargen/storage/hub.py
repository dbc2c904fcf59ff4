"""Models on the Hugging Face Hub, which are called hf:user/name or hf:user/name@revision."""

from __future__ import annotations

import re
from pathlib import Path

from chargen.errors import ChargenError, first_line
from chargen.storage.atomic import MANIFEST

PREFIX = "hf:"
_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
# Of the files of a checkpoint, those that are the model; see `storage.checkpoint`.
_FILES = [
    *("config.json", "tokenizer.json", "tokenizer.model", "model.safetensors"),
    *("ngrams.safetensors", MANIFEST),
]


def local_folder(folder: str | Path) -> Path:
    """Returns `folder`, or the folder in the Hub's cache that a model of the Hub was downloaded to.

    Only the files of a checkpoint are downloaded, if they are not there yet; nothing of them is run,
    and loading checks their sums. Raises ChargenError where the Hub has no such model, and where it
    cannot be reached.
    """
    name = str(folder)
    if not name.startswith(PREFIX):
        return Path(folder)
    match = _NAME.fullmatch(name)
    if not match:
        raise ChargenError(
            f"{name!r} is no name of a model on the Hub", "write hf:user/name or hf:user/name@revision"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, revision = match.groups()
    try:
        path = snapshot_download(repository, revision=revision, allow_patterns=_FILES)
    except RepositoryNotFoundError:
        raise ChargenError(
            f"the Hub has no model {repository!r}, or only for those who are logged in",
            "log in with: hf auth login",
        ) from None
    except RevisionNotFoundError:
        raise ChargenError(f"the model {repository!r} has no revision {revision!r}") from None
    except LocalEntryNotFoundError:
        raise ChargenError(
            f"{name} has not been downloaded yet, and the Hub cannot be reached",
            "try again when there is a network",
        ) from None
    except HFValidationError as error:
        raise ChargenError(f"{name!r} is no name of a model on the Hub: {first_line(error)}") from None
    except OSError as error:
        raise ChargenError(f"{name} cannot be downloaded: {first_line(error)}") from error
    if not (Path(path) / MANIFEST).exists():
        raise ChargenError(f"{name} is not a model of chargen: it has no {MANIFEST}")
    return Path(path)
