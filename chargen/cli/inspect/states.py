"""`chargen inspect states`: what goes on in the layers while they read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.inspect.common import (
    colour_option,
    coloured,
    load_and_adapt,
    open_text,
    text_options,
    write_file,
)
from chargen.cli.options import model_option
from chargen.cli.terminal import say
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.generator import TextGenerator
    from chargen.inspection.states import Layers

LONGEST = 50_000  # characters of a text that are looked at
LONGEST_SHOWN = 5_000  # of which all states are written down
SIGNED = ("cell", "hidden", "candidate")
KINDS = ("cell", "hidden", "input", "forget", "candidate", "output", "reset", "update")


@click.command(short_help="Components of the state, gates, and what they follow.")
@text_options
@model_option
@click.option("--layer", type=click.IntRange(1), help="Which layer, from 1.  [default: 1]")
@click.option("--component", type=click.IntRange(0), help="Colour the text by this component, from 0.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="What of it: its cell, its hidden state or a gate.  [default: cell of an lstm, else hidden]",
)
@click.option("--svg", metavar="FILE", help="Write the coloured text as a picture, too.")
@click.option(
    "--plot",
    metavar="FILE",
    help="Draw the component along the text, or without --component all of them (png, svg, pdf).",
)
@colour_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def states(
    file: str | None,
    text: str | None,
    encoding: str,
    unknown: str,
    model: str | None,
    layer: int | None,
    component: int | None,
    kind: str | None,
    svg: str | None,
    plot: str | None,
    color: bool | None,
    as_json: bool,
) -> None:
    """Shows what goes on in a model while it reads a text: FILE, or - for standard input.

    Without --component, looks for components of the state that follow something one can name: quotes,
    brackets, indentation, the place in the line; of a short text, shows how far open the gates are.
    With it, the text is coloured by its value. What it
    is for can be tried: `chargen sample --clamp LAYER:COMPONENT=VALUE` holds it.

    \b
      chargen inspect states program.py
      chargen inspect states program.py --layer 1 --component 170
      chargen inspect states --text "The cat sat." --kind forget --plot forget.png
      chargen inspect states --text "The cat sat." --json

    With --json and a short text: characters; layers, an object for each with a list of lists
    (character by component) for cell, hidden and every gate; components. With a longer text,
    components alone.
    """
    from chargen.generation.decoder import Clamp
    from chargen.inspection.components import FEWEST
    from chargen.inspection.states import STATE_KINDS
    from chargen.rendering import colouring
    from chargen.rendering import plots as pictures
    from chargen.rendering.describe import state_glyphs

    whole = open_text(file, text, encoding)
    if not whole:
        raise ChargenError("the text is empty: there is nothing to look at")
    short = len(whole) <= (LONGEST_SHOWN if as_json else FEWEST - 1)
    shows = component is not None or plot is not None or short  # the states themselves
    limit = LONGEST_SHOWN if shows else LONGEST
    if len(whole) > limit:
        say(f"note: of {len(whole):,} characters, the first {limit:,} are looked at")
        whole = whole[:limit]
    writer, whole = load_and_adapt(model, whole, unknown)
    cell = writer.model.config.cell
    kind = kind or STATE_KINDS[cell][0]
    if kind not in STATE_KINDS[cell]:
        raise ChargenError(f"an {cell} has no {kind}; take one of {', '.join(STATE_KINDS[cell])}")
    if svg and component is None:
        raise click.UsageError("--svg colours the text by a component: name one with --component")
    depth = layer or 1
    Clamp(depth, component or 0, 0.0).check(writer.model.config)
    found, pieces = (writer.states(whole), writer.pieces(whole)) if shows else ([], [])
    if plot and component is not None:
        pictures.plot_component(plot, pieces, found[depth - 1], kind, component)
    elif plot:
        pictures.plot_heatmap(plot, pieces, found if layer is None else [found[depth - 1]], kind)
    if plot:
        say(f"written: {plot}")
    if as_json:
        record: dict[str, Any] = {}
        if shows:
            record["characters"] = pieces
            record["layers"] = [{name: v.tolist() for name, v in one.items()} for one in found]
        if len(whole) >= FEWEST:
            record["components"] = [
                {
                    "property": row.property,
                    "layer": row.component.layer,
                    "kind": row.component.kind,
                    "component": row.component.index,
                    "correlation": row.correlation,
                }
                for row in writer.components(whole)
            ]
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
    elif component is not None:
        values = found[depth - 1][kind][:, component]
        title = f"{kind} {component} of layer {depth}"
        glyphs = state_glyphs(pieces, values, kind)
        if svg:
            write_file(svg, colouring.svg(glyphs, title))
        if coloured(color):
            click.echo(colouring.terminal(glyphs).removesuffix("\n"), color=True)
        else:
            for piece, value in zip(pieces, values, strict=True):
                click.echo(f"{value:+.3f}  {colouring.visible(piece)}")
        low, high, mean = values.min(), values.max(), values.mean()
        say(f"{title}: from {low:+.2f} to {high:+.2f}, on average {mean:+.2f}")
    elif len(whole) >= FEWEST:
        _list(writer, whole)
    else:
        _table(pieces, found, layer)


def _list(writer: TextGenerator, text: str) -> None:
    click.echo("follows                      layer  component      correlation")
    for row in writer.components(text):
        click.echo(
            f"{row.property:28} {row.component.layer:5}  "
            f"{f'{row.component.kind} {row.component.index}':14} "
            f"{row.correlation:+.3f}"
        )
    say(
        "colour a text by one with --layer L --component C; hold it with: "
        "chargen sample --clamp L:C=VALUE"
    )


def _table(pieces: list[str], layers: Layers, only: int | None) -> None:
    """All of a short text: the size of the states, and how far open the gates are on average."""
    import numpy as np

    from chargen.rendering.colouring import visible

    for number, layer in enumerate(layers, start=1):
        if only in (None, number):
            click.echo(f"layer {number}   " + "".join(f"{name:>11}" for name in layer))
            columns = [
                np.abs(values).mean(1) if name in SIGNED else values.mean(1)
                for name, values in layer.items()
            ]
            for piece, *row in zip(pieces, *columns, strict=True):
                click.echo(f"{visible(piece):10}" + "".join(f"{value:11.3f}" for value in row))
    say(
        "each a mean over the components, of states and candidates without their sign; more: "
        "--component C, --plot FILE, --json, or a longer text"
    )
