"""Downloads public data sets, checks them by their sha256, and resumes an interrupted download.

A file is written with the suffix `.part` and renamed once its sha256 is right.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chargen.errors import ChargenError

_TIMEOUT = 30  # seconds
_CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class Source:
    """A public file and how to check it."""

    url: str
    name: str  # on the disk
    sha256: str
    limit: int  # bytes; a longer response is not the file


_AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
SOURCES = {
    "tiny-shakespeare": [
        Source(
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            "tiny-shakespeare.txt",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            2_000_000,
        )
    ],
    "ag-news": [
        Source(
            f"{_AG_NEWS}/train.csv",
            "ag-news-train.csv",
            "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e",
            60_000_000,
        ),
        Source(
            f"{_AG_NEWS}/test.csv",
            "ag-news-test.csv",
            "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
            4_000_000,
        ),
    ],
}


def fetch(source: Source, folder: Path) -> Iterator[tuple[int, int | None]]:
    """Downloads a file into a folder; yields (bytes so far, bytes in all or None if unknown).

    A file that is already there with the right sha256 is left unchanged. Raises ChargenError where the
    network or the disk fails, or the sha256 differs; a partial download is kept, a wrong one is not.
    """
    path, part = folder / source.name, folder / f"{source.name}.part"
    try:
        if path.exists():
            if _sum(path) == source.sha256:
                return
            raise ChargenError(
                f"{path} is another file than the public one", "move or rename it first"
            )
        folder.mkdir(parents=True, exist_ok=True)
        yield from _download(source, part)
        if _sum(part) != source.sha256:
            part.unlink()
            raise ChargenError(
                f"{source.url} is not the file it was: its sha256 differs; nothing was kept"
            )
        os.replace(part, path)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise ChargenError(
            f"{source.url} cannot be fetched: {reason}",
            "check the network and try again: a partial download is kept and resumed",
        ) from error
    except OSError as error:
        raise ChargenError(f"{path} cannot be written: {error.strerror or error}") from error


def _download(source: Source, part: Path) -> Iterator[tuple[int, int | None]]:
    done = part.stat().st_size if part.exists() else 0  # bytes
    request = urllib.request.Request(source.url, headers={"User-Agent": "chargen"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and done:  # range not satisfiable: the whole file is already here
            return
        raise
    with response:
        if response.status != 206:  # the server ignored the range and sends the whole file
            done = 0
        rest = response.headers.get("Content-Length")
        total = done + int(rest) if rest and rest.isdecimal() else None
        with part.open("ab" if done else "wb") as file:
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > source.limit:
                    file.close()
                    part.unlink()
                    raise ChargenError(
                        f"{source.url} sends more than {source.limit:,} bytes: that is not the file"
                    )
                file.write(chunk)
                yield done, total
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
