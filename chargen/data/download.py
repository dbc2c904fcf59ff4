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
    name: str  # on the disk, below the folder
    sha256: str
    limit: int  # bytes; a longer response is not the file


_AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
_NAMES = "https://raw.githubusercontent.com/spro/practical-pytorch/master/data/names"
_NAMES_SHA256 = {
    "Arabic": "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc",
    "Chinese": "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465",
    "Czech": "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7",
    "Dutch": "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3",
    "English": "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2",
    "French": "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95",
    "German": "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db",
    "Greek": "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6",
    "Irish": "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058",
    "Italian": "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4",
    "Japanese": "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f",
    "Korean": "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136",
    "Polish": "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826",
    "Portuguese": "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53",
    "Russian": "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c",
    "Scottish": "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd",
    "Spanish": "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7",
    "Vietnamese": "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d",
}
SOURCES = {
    "names": [
        Source(f"{_NAMES}/{country}.txt", f"names/{country}.txt", sha256, 200_000)
        for country, sha256 in _NAMES_SHA256.items()
    ],
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
        path.parent.mkdir(parents=True, exist_ok=True)
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
