"""`chargen fetch`: downloads public texts."""

from __future__ import annotations

from pathlib import Path

import click

from chargen.cli.terminal import say

NAMES = ("tiny-shakespeare", "ag-news", "names")


@click.command
@click.argument("name", type=click.Choice(NAMES))
@click.option("--to", default="data", metavar="DIR", help="Folder to write to.")
def fetch(name: str, to: str) -> None:
    """Downloads a public text, checks its sha256, and prints the path of each file.

    tiny-shakespeare is a megabyte of plays, to train a generator on; ag-news is 127,600 news items in
    four classes (1 world, 2 sports, 3 business, 4 science), to train a classifier on; names are 20,050
    surnames from 18 countries, a file for each. An interrupted download is resumed.

    \b
      chargen fetch tiny-shakespeare
      chargen train data/tiny-shakespeare.txt
      chargen fetch ag-news
      chargen classify train data/ag-news-train.csv --val data/ag-news-test.csv
      chargen fetch names
      chargen classify train data/names --balance
    """
    from tqdm import tqdm

    from chargen.data import download

    for source in download.SOURCES[name]:
        with tqdm(unit="B", unit_scale=True, disable=None, leave=False, desc=source.name) as bar:
            for received, total in download.fetch(source, Path(to)):
                bar.total = total
                bar.update(received - bar.n)
        say(f"sha256 {source.sha256[:12]}… is right")
        click.echo(Path(to, source.name))
