"""`chargen export`: writes a page in one file that writes with a model."""

from __future__ import annotations

from pathlib import Path

import click

from chargen.cli.models import load_model, model_folder
from chargen.cli.options import model_option
from chargen.cli.output_file import output_file, write_file
from chargen.cli.terminal import say


@click.command
@model_option()
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="File to write.  [default: the name of the model's folder, with .html]",
)
@click.option("--title", metavar="TEXT", help="What the page calls the model.  [default: its folder]")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def export(model: str | None, out: str | None, title: str | None, overwrite: bool) -> None:
    """Writes one HTML file that holds a model and writes with it, in any browser, offline.

    The page writes the same text as `chargen sample --weights int8` with the same seed. It also shows
    what the model expects next, what surprises it, and what its gates do. Nothing that is typed there
    leaves the browser.

    \b
      chargen export
      chargen export -m checkpoints/poems -o poet.html
    """
    folder = model_folder(model)
    name = Path(folder.split("@")[0] if folder.startswith("hf:") else folder).resolve().name
    target = output_file(out or f"{name}.html", overwrite)
    page = load_model(folder).to_html(title or name).encode()
    write_file(target, page)
    say(f"wrote {target}, {len(page) / 1e6:.2f} MB")
