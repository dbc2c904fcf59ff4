"""`chargen compress` packs any file by what a model expects, and `chargen decompress` unpacks it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from chargen.cli.models import import_torch, load_model
from chargen.cli.options import model_option
from chargen.cli.output_file import output_file, write_file
from chargen.cli.terminal import say

if TYPE_CHECKING:
    from chargen.compression.packing import Packing

SUFFIX = ".cgz"

_file = click.argument("file", type=click.File("rb"))
_output = click.option("-o", "--out", metavar="FILE", help="File to write; - is standard output.")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")


@click.command
@_file
@model_option()
@_output
@_overwrite
def compress(file: IO[bytes], model: str | None, out: str | None, overwrite: bool) -> None:
    """Packs FILE, or - for standard input, by what a model expects.

    The better a model predicts a text, the shorter the file. Whoever unpacks it needs the same model.
    Any file can be packed; one that is no text is packed by xz.

    \b
      chargen compress letter.txt                    writes letter.txt.cgz
      chargen compress -m checkpoints/plays hamlet.txt
      cat hamlet.txt | chargen compress - > hamlet.cgz
    """
    target = _target(file, out, overwrite, lambda name: name + SUFFIX)
    data = file.read()
    import_torch(len(data))
    writer = load_model(model)
    with _Bar() as bar:
        packed = writer.compress(data, bar.show)
    _write(target, packed)
    end = bar.last
    share = f", {8 * len(packed) / end.characters:.3f} bits per character" if end.characters else ""
    say(f"{len(data):,} bytes became {len(packed):,}{share} (xz: {end.xz_bytes:,})")


@click.command
@_file
@model_option("Checkpoint folder of the model that packed it")
@_output
@_overwrite
def decompress(file: IO[bytes], model: str | None, out: str | None, overwrite: bool) -> None:
    """Unpacks FILE, or - for standard input, with the model that packed it.

    A file that is damaged, or that another model has packed, is an error; nothing is written then.

    \b
      chargen decompress letter.txt.cgz              writes letter.txt
      chargen decompress -m checkpoints/plays hamlet.txt.cgz -o -
    """
    target = _target(file, out, overwrite, _without_suffix)
    packed = file.read()
    import_torch(4 * len(packed))
    writer = load_model(model)
    with _Bar() as bar:
        data = writer.decompress(packed, bar.show)
    _write(target, data)


class _Bar:
    """The progress of packing, on stderr where that is a terminal, beside what xz needs."""

    def __init__(self) -> None:
        from tqdm import tqdm

        from chargen.compression.packing import Packing

        self.last = Packing(0, 0)
        self._tqdm = tqdm(
            total=1, disable=None, leave=False, bar_format="{percentage:3.0f}% |{bar:20}| {desc}"
        )
        self._shown = 0.0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._tqdm.close()

    def show(self, packing: Packing) -> None:
        """Shows how far it is."""
        self.last, now = packing, time.monotonic()
        if self._tqdm.disable or (now - self._shown < 0.1 and packing.done < packing.total):
            return
        self._shown = now
        self._tqdm.n = packing.done / max(packing.total, 1)
        if packing.characters:
            self._tqdm.set_description_str(
                f"{packing.bits_per_character:.3f} bits per character "
                f"(xz: {packing.xz_bits_per_character:.3f})",
                refresh=False,
            )
        self._tqdm.update(0)


def _target(
    file: IO[bytes], out: str | None, overwrite: bool, derive: Callable[[str], str]
) -> Path | None:
    """Returns the file to write, None for standard output; derives its name from that of `file`.

    Raises UsageError where nothing may be written there.
    """
    name = getattr(file, "name", "-")
    from_stdin = file is sys.stdin.buffer or name in ("<stdin>", "-", 0)
    if out == "-" or (out is None and from_stdin):
        if sys.stdout.isatty() and derive("x") != "x":
            raise click.UsageError("the packed form is not for a terminal; name a file with --out")
        return None
    return output_file(out if out is not None else derive(str(name)), overwrite)


def _without_suffix(name: str) -> str:
    if not name.endswith(SUFFIX):
        raise click.UsageError(f"{name} does not end with {SUFFIX}; name the file to write with --out")
    return name.removesuffix(SUFFIX)


def _write(target: Path | None, data: bytes) -> None:
    """Writes all of it or nothing."""
    if target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    write_file(target, data)
    say(f"written to {target}")
