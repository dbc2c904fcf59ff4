"""`chargen inspect states`: shows the states and gates of the layers while they read a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.inspect.output import colour_option, coloured, svg_option, write_file
from chargen.cli.inspect.text_options import open_text, text_options
from chargen.cli.models import load_and_adapt
from chargen.cli.options import json_option, model_option, unknown_option
from chargen.cli.terminal import say
from chargen.errors import ChargenError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chargen.generator import TextGenerator
    from chargen.inspection.states import Layers

MAX_CHARACTERS = 50_000  # of a text, to correlate components with
MAX_CHARACTERS_OF_STATES = 5_000  # of a text whose states are all shown, drawn or printed
SIGNED = ("cell", "hidden", "candidate")
KINDS = ("cell", "hidden", "input", "forget", "candidate", "output", "reset", "update")


@click.command
@text_options
@unknown_option
@model_option()
@click.option("--layer", type=click.IntRange(1), help="Layer, from 1.  [default: 1]")
@click.option("--component", type=click.IntRange(0), help="Colour the text by this component, from 0.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="What to show of the component: its cell, its hidden state or a gate.  "
    "[default: cell of an lstm, else hidden]",
)
@svg_option
@click.option(
    "--plot",
    metavar="FILE",
    help="Draw the component along the text or, without --component, all of them (png, svg, pdf).",
)
@colour_option
@json_option
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
    """Shows the states of a model while it reads a text: FILE, or - for standard input.

    Without --component, finds components of the state that follow a property of the text: quotes,
    brackets, indentation, the position in the line. For a short text, shows how far open the gates
    are. With --component, colours the text by the value of that component. To try what a component
    is for, hold it: `chargen sample --clamp LAYER:COMPONENT=VALUE`.

    \b
      chargen inspect states program.py
      chargen inspect states program.py --layer 1 --component 170
      chargen inspect states --text "The cat sat." --kind forget --plot forget.png
      chargen inspect states --text "The cat sat." --json

    With --json and a short text: characters; layers, an object for each with a list of lists
    (character by component) for cell, hidden and every gate; components. With a longer text,
    components alone.
    """
    from chargen.inspection.components import FEWEST
    from chargen.inspection.states import STATE_KINDS
    from chargen.rendering import plots
    from chargen.shapes import StateComponent

    if svg and component is None:
        raise click.UsageError("--svg colours the text by a component: name one with --component")
    text = open_text(file, text, encoding)
    if not text:
        raise ChargenError("the text is empty: there is nothing to inspect")
    short = len(text) <= (MAX_CHARACTERS_OF_STATES if as_json else FEWEST - 1)
    shows_states = component is not None or plot is not None or short
    limit = MAX_CHARACTERS_OF_STATES if shows_states else MAX_CHARACTERS
    if len(text) > limit:
        say(f"note: only the first {limit:,} of {len(text):,} characters are inspected")
        text = text[:limit]
    writer, text = load_and_adapt(model, text, unknown)
    config = writer.model.config
    kind = kind or STATE_KINDS[config.cell][0]
    if kind not in STATE_KINDS[config.cell]:
        raise ChargenError(
            f"an {config.cell} has no {kind}", f"take one of {', '.join(STATE_KINDS[config.cell])}"
        )
    depth = layer or 1
    StateComponent(depth, component or 0, kind).check(config)
    layers, pieces = (writer.states(text), writer.pieces(text)) if shows_states else ([], [])
    if plot and component is not None:
        plots.plot_component(plot, pieces, layers[depth - 1], kind, component)
    elif plot:
        plots.plot_heatmap(plot, pieces, layers if layer is None else [layers[depth - 1]], kind)
    if plot:
        say(f"written: {plot}")
    if as_json:
        record: dict[str, Any] = {}
        if shows_states:
            record["characters"] = pieces
            record["layers"] = [{name: v.tolist() for name, v in one.items()} for one in layers]
        if len(text) >= FEWEST:
            record["components"] = [
                {
                    "property": row.property,
                    "layer": row.component.layer,
                    "kind": row.component.kind,
                    "component": row.component.index,
                    "correlation": row.correlation,
                }
                for row in writer.components(text)
            ]
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
    elif component is not None:
        title = f"{kind} {component} of layer {depth}"
        _show_component(pieces, layers[depth - 1][kind][:, component], kind, title, svg, color)
    elif len(text) >= FEWEST:
        _list_components(writer, text)
    else:
        _show_layers(pieces, layers, layer)


def _show_component(
    pieces: list[str],
    values: npt.NDArray[np.float32],
    kind: str,
    title: str,
    svg: str | None,
    color: bool | None,
) -> None:
    """Prints a text coloured by the values (T,) of one component at its T pieces."""
    from chargen.rendering import colouring
    from chargen.rendering.describe import state_glyphs

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


def _list_components(writer: TextGenerator, text: str) -> None:
    click.echo("follows                      layer  component      correlation")
    for row in writer.components(text):
        component = row.component
        click.echo(
            f"{row.property:28} {component.layer:5}  "
            f"{f'{component.kind} {component.index}':14} "
            f"{row.correlation:+.3f}"
        )
    say(
        "colour a text by one with --layer L --component C; hold it with: "
        "chargen sample --clamp L:C=VALUE"
    )


def _show_layers(pieces: list[str], layers: Layers, only: int | None) -> None:
    """Prints, for each piece, the mean of each state and gate over the components of a layer.

    Those of states and candidates are absolute values. `only` is the layer, from 1; None is all.
    """
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
        "each number is a mean over the components, of absolute values for states and "
        "candidates. For more: --component C, --plot FILE, --json, or a longer text"
    )
