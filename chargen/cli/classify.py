"""`chargen classify`: learns which class a text belongs to, and says it of others."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli import Number, Source, say, shown
from chargen.cli.watch import clock, watch
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classification import ClassScore
    from chargen.labelled import Labelled
    from chargen.text_classifier import TextClassifier
    from chargen.training import Step

BUILTIN_MINUTES, MINUTES = 0.6, 5.0
MOST_CLASSES_SHOWN = 30
# What a generator settles for the classifier that begins with it.
_SETTLED = ("tokenizer", "vocab_size", "cell", "layers", "hidden", "embedding", "bidirectional")


@click.group(short_help="Learn which class a text belongs to.")
def classify() -> None:
    """Learns which class a text belongs to: a language, a topic, a country of origin.

    \b
      chargen classify train                       tell languages apart, from sentences that come along
      chargen classify predict "où est la gare ?"
      chargen classify train reviews.csv --label stars --text review
      chargen classify eval more.csv
    """


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a table of labelled texts is read, the same for every command that reads one."""
    for option in (
        click.option("--encoding", default="utf-8", help="Of the data."),
        click.option(
            "--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be read, and count them."
        ),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first row names the columns.  [default: as it looks, and said]",
        ),
        click.option(
            "--label", metavar="COLUMN", help="By name or number.  [default: as it looks, and said]"
        ),
        click.option(
            "--text",
            multiple=True,
            metavar="COLUMN",
            help="By name or number; several are joined.  [default: all others]",
        ),
    ):
        command = option(command)
    return command


def shape_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is learned with, the same for every command that trains."""
    for option in (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            help="Where to train.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all randomness."
        ),
        click.option("--lr", type=Number(min=0, min_open=True), default=4e-3, help="At its highest."),
        click.option("--batch", type=click.IntRange(1), default=16, help="Texts per step."),
        click.option(
            "--max-length", type=click.IntRange(1), default=1000, help="Ids of a text that are read."
        ),
        click.option(
            "--pooling",
            type=click.Choice(["last", "mean", "max", "attention"]),
            default="mean",
            help="What of a text goes into the head: its last state, the mean or the largest of all, "
            "or what attention picks.",
        ),
        click.option("--dropout", type=Number(min=0, max=0.95), default=0.3, help="Between layers."),
        click.option("--embedding", type=click.IntRange(1), default=64, help="Numbers per id."),
        click.option("--hidden", type=click.IntRange(1), default=192, help="Hidden size."),
        click.option(
            "--vocab-size", type=click.IntRange(300, 60_000), default=1024, help="Of pieces."
        ),
        click.option(
            "--tokenizer",
            type=click.Choice(["char", "byte", "bpe", "unigram"]),
            default="char",
            help="What an id stands for.",
        ),
        click.option("--balance", is_flag=True, help="Let small classes weigh as much as large ones."),
        click.option(
            "--val-fraction",
            type=Number(min=0, max=0.9),
            default=0.1,
            help="Of every class, kept apart to measure by.",
        ),
    ):
        command = option(command)
    return command


@classify.command(short_help="Learn from labelled texts.")
@click.argument("data", required=False, type=Source())
@click.option(
    "-o", "--out", metavar="DIR", help="Where the classifier is written.  [default: checkpoints/NAME]"
)
@click.option("--overwrite", is_flag=True, help="Replace the model in the folder of --out.")
@click.option("--minutes", type=Number(min=0, min_open=True), help="Budget of time.  [default: 5]")
@click.option("--epochs", type=Number(min=0, min_open=True), help="Or of passes over the texts.")
@click.option("--steps", type=click.IntRange(1), help="Or of optimiser steps.")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to measure by.")
@click.option(
    "--from",
    "generator",
    metavar="DIR",
    help="Begin with the tokenizer and the stack of a generator that `chargen train` made.",
)
@click.option(
    "--stack-share",
    type=Number(min=0, max=1, min_open=True),
    default=1.0,
    help="Of the learning rate, for the stack; less where it comes from a generator and should change "
    "slowly.",
)
@click.option(
    "--cell", type=click.Choice(["lstm", "gru", "rnn"]), default="lstm", help="Of the stack."
)
@click.option("--layers", type=click.IntRange(1, 100), default=2, help="Depth of the stack.")
@click.option("--bidirectional", is_flag=True, help="Read every text in both directions.")
@shape_options
@data_options
@click.option("--json", "as_json", is_flag=True, help="At the end, print one JSON object.")
@click.pass_context
def train(
    context: click.Context,
    /,
    data: str | None,
    out: str | None,
    overwrite: bool,
    minutes: float | None,
    epochs: float | None,
    steps: int | None,
    val: str | None,
    generator: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Learns from DATA: a CSV, TSV or JSON Lines file, or a folder (a sub-folder or file per class).

    Without DATA, learns to tell languages apart from short sentences that come with chargen. While it
    learns to judge, it also learns to read (to predict each next character), which is what makes a
    few thousand texts enough.

    \b
      chargen classify train
      chargen classify train ag_news.csv --minutes 5
      chargen classify train names/ --balance
      chargen classify train reviews.jsonl --text review --label stars --from checkpoints/reviews

    With --json: checkpoint, parameters, steps, seconds, accuracy, macro_f1, calibration_error,
    classes, per_class, confusion, seed.
    """
    budget: dict[str, Any] = {"minutes": minutes, "epochs": epochs, "steps": steps}
    if sum(value is not None for value in budget.values()) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    if all(value is None for value in budget.values()):
        budget["minutes"] = MINUTES if data else BUILTIN_MINUTES
    folder = _folder(out, data, overwrite)

    from chargen.files import claimed

    with claimed(folder):
        texts = _read(data, options)
        apart = _read(val, options) if val else None
        say(_describe(texts))
        given = [name for name in options if _was_given(context, name)]
        reader = _new(texts, generator, given, options)
        config = reader.model.config
        both = "bidirectional " if config.bidirectional else ""
        say(
            f"model    {both}{config.cell} {config.num_layers} × {config.hidden_size}, "
            f"{config.pooling} pooling, {config.parameters / 1e6:.2f} M parameters"
        )
        kept = f"; the best classifier so far is in {folder}"
        steps_of = _train(reader, texts, apart, budget, options)
        last = watch(_kept(steps_of, reader, folder), _line, lambda step: kept)
    score: ClassScore | None = last.score
    if score:
        say(
            f"done     accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f}, on "
            f"{len(score.labels):,} texts it never saw; best at step {last.best_step:,} of "
            f"{last.number:,}, in {clock(last.seconds)}"
        )
        say(_table(score))
    else:
        say(f"done     {last.number:,} steps in {clock(last.seconds)}, without validation")
    say(f"model    {folder}\npredict  chargen classify predict -m {shlex.quote(str(folder))} …")
    if as_json:
        record = {
            "checkpoint": str(folder),
            "parameters": config.parameters,
            "steps": last.number,
            "seconds": round(last.seconds, 2),
            "seed": options["seed"],
            **(_measures(score) if score else {"accuracy": None, "macro_f1": None}),
        }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))


@classify.command(short_help="Say the class of texts.")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("-m", "--model", metavar="DIR", help="The classifier.  [default: the newest]")
@click.option(
    "--file",
    type=click.File("rb"),
    metavar="FILE",
    help="A text in each line; - is standard input, also without this option where it is a pipe.",
)
@click.option("--top", type=click.IntRange(1), default=3, help="Classes shown per text.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show how much each character mattered: where attention looked, else gradient times input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def predict(
    texts: tuple[str, ...],
    model: str | None,
    file: Any,
    top: int,
    explain: bool,
    as_json: bool,
) -> None:
    """Says which class each TEXT belongs to: a line for each, likeliest class first.

    \b
      chargen classify predict "où est la gare ?"
      chargen classify predict --file sentences.txt
      cat sentences.txt | chargen classify predict --json
      chargen classify predict --explain "guten Morgen"

    With --json: model, texts; each has text, classes and, with --explain, weights.
    """
    lines: Iterable[str] = texts
    if file is None and not texts:
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("give a TEXT, --file FILE, or texts on standard input")
        file = sys.stdin.buffer
    if file is not None:
        if texts:
            raise click.UsageError("give TEXT or --file, not both")
        lines = _lines(file)
    folder, reader = _load(model)
    if as_json:
        found = list(_predicted(reader, lines, explain))
        click.echo(json.dumps({"model": folder, "texts": found}, ensure_ascii=False, allow_nan=False))
        return
    alone = len(texts) == 1
    for one in _predicted(reader, lines, explain):
        classes = list(one["classes"].items())[:top]
        judged = "  ".join(f"{name} {probability:.2f}" for name, probability in classes)
        text = shown(one["text"], sys.stdout)
        click.echo(judged if alone else f"{judged}\t{text}")
        if explain:
            click.echo(_heat(one["weights"]))


@classify.command(name="eval", short_help="Measure on labelled texts.")
@click.argument("data", type=Source())
@click.option("-m", "--model", metavar="DIR", help="The classifier.  [default: the newest]")
@data_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def evaluate(data: str, model: str | None, as_json: bool, **options: Any) -> None:
    """Measures a classifier on labelled texts: accuracy, macro-F1, calibration, and a table.

    \b
      chargen classify eval test.csv
      chargen classify eval -m checkpoints/ag_news test.csv --json

    With --json: accuracy, macro_f1, calibration_error, nats, classes, per_class, confusion.
    """
    texts = _read(data, options)
    _, reader = _load(model)
    if unknown := sorted(set(texts.labels) - set(reader.classes)):
        number = sum(label in unknown for label in texts.labels)
        say(
            f"note: the classifier has no class {unknown[0]!r}"
            + (f" and {len(unknown) - 1} more of the labels" if len(unknown) > 1 else "")
            + f": {number:,} texts count as wrong"
        )
    score = reader.evaluate(texts)
    if as_json:
        click.echo(json.dumps(_measures(score), ensure_ascii=False, allow_nan=False))
        return
    click.echo(
        f"accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f}, calibration error "
        f"{score.calibration_error:.3f}, {len(texts):,} texts\n{_table(score)}"
    )


class Several(click.ParamType):  # type: ignore[type-arg]
    """Values separated by commas, each one of a kind."""

    name = "list"

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, list):
            return value
        return [self._kind.convert(part.strip(), param, ctx) for part in value.split(",")]


@classify.command(short_help="Compare cells, depths and directions.")
@click.argument("data", required=False, type=Source())
@click.option(
    "--cells",
    type=Several(click.Choice(["rnn", "gru", "lstm"])),
    default="rnn,gru,lstm",
    help="Which.",
)
@click.option(
    "--bidirectional", type=click.Choice(["no", "yes", "both"]), default="both", help="Directions."
)
@click.option("--layers", type=Several(click.IntRange(1, 100)), default="1,2", help="Depths.")
@click.option("--minutes", type=Number(min=0, min_open=True), default=0.5, help="For each of them.")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to measure by.")
@shape_options
@data_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def compare(
    data: str | None,
    cells: list[str],
    bidirectional: str,
    layers: list[int],
    minutes: float,
    val: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Trains each shape on the same texts for the same time, and prints what came out as a table.

    Those that read in one direction also learn to read while they learn to judge; a bidirectional one
    sees each next character beforehand, so it learns to judge alone.

    \b
      chargen classify compare
      chargen classify compare ag_news.csv --cells rnn,lstm --layers 2 --minutes 2

    With --json: minutes, rows; each has cell, layers, bidirectional, parameters,
    characters_per_second, steps, accuracy, macro_f1.
    """
    texts = _read(data, options)
    apart = _read(val, options) if val else None
    say(_describe(texts))
    directions = {"no": [False], "yes": [True], "both": [False, True]}[bidirectional]
    rows: list[dict[str, Any]] = []
    for cell in cells:
        for depth in layers:
            for both in directions:
                name = f"{'bidirectional ' if both else ''}{cell} {depth} × {options['hidden']}"
                shape = {"cell": cell, "layers": depth, "bidirectional": both}
                reader = _new(texts, None, [], options | shape)
                steps = _train(reader, texts, apart, {"minutes": minutes}, options)
                last = watch(steps, _line, lambda step: "; nothing was kept")
                say(f"{name}: accuracy {last.score.accuracy:.1%}")
                rows.append(
                    {
                        "cell": cell,
                        "layers": depth,
                        "bidirectional": both,
                        "parameters": reader.model.config.parameters,
                        "characters_per_second": round(last.characters_per_second),
                        "steps": last.number,
                        "accuracy": last.score.accuracy,
                        "macro_f1": last.score.macro_f1,
                    }
                )
    if as_json:
        click.echo(json.dumps({"minutes": minutes, "rows": rows}, allow_nan=False))
        return
    click.echo("cell  layers  directions  parameters  characters/s  accuracy  macro-F1")
    for row in rows:
        ways = "both" if row["bidirectional"] else "forward"
        click.echo(
            f"{row['cell']:4}  {row['layers']:6}  {ways:10}  {row['parameters']:10,}  "
            f"{row['characters_per_second']:12,}  {row['accuracy']:8.1%}  {row['macro_f1']:8.3f}"
        )


@classify.command(short_help="What the state of a generator knows.")
@click.argument("data", required=False, type=Source())
@click.option("-m", "--model", metavar="DIR", help="The generator.  [default: the newest]")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to measure by.")
@click.option(
    "--val-fraction", type=Number(min=0, max=0.9, min_open=True), default=0.1, help="Kept apart."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of what is kept apart.")
@data_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def probe(
    data: str | None,
    model: str | None,
    val: str | None,
    val_fraction: float,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Asks the frozen final state of a generator for labels that it was never told.

    A linear probe learns from all components of the state; and the one that tells the classes apart
    best alone is named.

    \b
      chargen classify probe reviews.csv -m checkpoints/reviews

    With --json: accuracy, macro_f1, largest_class, component (layer, kind, place,
    accuracy, means).
    """
    from chargen.cli import load_model
    from chargen.probe import probe as ask
    from chargen.text_classifier import encoded

    texts = _read(data, options)
    writer = load_model(model)
    first, second = texts.split(val_fraction, seed) if val is None else (texts, _read(val, options))
    classes = first.classes
    parts = [encoded(part, writer.tokenizer, classes) for part in (first, second)]
    score, alone = ask(writer.model, parts[0], parts[1], classes)
    largest = max(first.counts().values()) / len(first)
    if as_json:
        component = {
            "layer": alone.layer,
            "kind": alone.kind,
            "place": alone.place,
            "accuracy": alone.score.accuracy,
            "means": dict(zip(classes, alone.means, strict=True)),
        }
        record = {
            "accuracy": score.accuracy,
            "macro_f1": score.macro_f1,
            "largest_class": largest,
            "component": component,
        }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    order = sorted(zip(alone.means, classes, strict=True))
    click.echo(
        f"all of the state    accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f} "
        f"(always the largest class: {largest:.1%})\n"
        f"one component       {alone.kind} {alone.place} of layer {alone.layer}: accuracy "
        f"{alone.score.accuracy:.1%}; it is lowest at {order[0][1]} ({order[0][0]:+.2f}) and "
        f"highest at {order[-1][1]} ({order[-1][0]:+.2f} standard deviations)"
    )


def _read(source: str | None, options: dict[str, Any]) -> Labelled:
    from chargen.labelled import Labelled, languages

    if source is None:
        say("no DATA given: learning to tell languages apart, from sentences that come with chargen")
        return Labelled.open(str(languages()))
    data = Labelled.open(
        source,
        text=options["text"],
        label=options["label"],
        header=options["header"],
        encoding=options["encoding"],
        skip_bad_rows=options["skip_bad_rows"],
    )
    for note in data.notes:
        say(f"note: {note}")
    return data


def _describe(data: Labelled) -> str:
    counts = data.counts()
    some = [f"{name} {count:,}" for name, count in list(counts.items())[:12]]
    more = f", … {len(counts) - 12} more" if len(counts) > 12 else ""
    return (
        f"data     {data.name}: {len(data):,} texts in {len(counts):,} classes\n"
        f"         {', '.join(some)}{more}"
    )


def _new(
    data: Labelled, generator: str | None, given: list[str], options: dict[str, Any]
) -> TextClassifier:
    """A fresh one, or one that begins with a generator, of which `given` names what it settles."""
    from chargen.sizing import find_device
    from chargen.text_classifier import TextClassifier
    from chargen.text_generator import TextGenerator

    place = find_device(options["device"])
    same = {name: options[name] for name in ("dropout", "pooling", "max_length", "seed")}
    if generator is None:
        reader = TextClassifier.new(
            data,
            tokenizer=options["tokenizer"],
            vocab_size=options["vocab_size"],
            cell=options["cell"],
            num_layers=options["layers"],
            hidden_size=options["hidden"],
            embedding_size=options["embedding"],
            bidirectional=options["bidirectional"],
            **same,
        )
        reader.model.to(place)
        return reader
    for name in _SETTLED:
        if name in given:
            raise click.UsageError(
                f"--{name.replace('_', '-')} comes from the generator of --from; leave it out"
            )
    reader = TextClassifier.from_generator(TextGenerator.load(generator), data, **same)
    reader.model.to(place)
    return reader


def _was_given(context: click.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _train(
    reader: TextClassifier,
    data: Labelled,
    validation: Labelled | None,
    budget: dict[str, Any],
    options: dict[str, Any],
) -> Iterator[Step]:
    return reader.train(
        data,
        validation,
        **budget,
        val_fraction=options["val_fraction"],
        batch=options["batch"],
        learning_rate=options["lr"],
        balance=options["balance"],
        stack_share=options.get("stack_share", 1.0),
        seed=options["seed"],
    )


def _kept(steps: Iterator[Step], reader: TextClassifier, folder: Path) -> Iterator[Step]:
    """The best classifier so far is always on the disk, and the last one where nothing is measured."""
    step = None
    try:
        for step in steps:
            if step.finished or (step.evaluated and step.best_step == step.number):
                reader.save(folder)
            yield step
    except GeneratorExit:
        if step and not (folder / "manifest.json").exists():
            reader.save(folder)
        raise


def _line(step: Step) -> tuple[str, str]:
    score: ClassScore = step.score
    return f"accuracy {score.accuracy:.1%}", f"macro-F1 {score.macro_f1:.3f}, {score.nats:.3f} nats"


def _folder(out: str | None, data: str | None, overwrite: bool) -> Path:
    from chargen.cli.train import free_folder
    from chargen.text import name_of

    return free_folder(out, name_of([data or "languages"]), overwrite, "")


def _load(model: str | None) -> tuple[str, TextClassifier]:
    from chargen.checkpoint import CLASSIFIER, newest
    from chargen.text_classifier import TextClassifier

    if model is None:
        found = newest(Path("checkpoints"), CLASSIFIER)
        if found is None:
            raise ChargenError(
                "there is no classifier under ./checkpoints; make one with: chargen classify train"
            )
        say(f"model: {found}")
        model = str(found)
    return model, TextClassifier.load(model)


def _lines(file: Any) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ChargenError(f"line {number:,} is not UTF-8: {error.reason}") from error


def _predicted(
    reader: TextClassifier, texts: Iterable[str], explain: bool
) -> Iterator[dict[str, Any]]:
    held: list[str] = []

    def several() -> Iterator[dict[str, Any]]:
        for text, classes in zip(held, reader.predict_many(held), strict=True):
            yield {"text": text, "classes": classes}

    for text in texts:
        if explain:
            classes, weights = reader.explain(text)
            yield {"text": text, "classes": classes, "weights": weights}
            continue
        held.append(text)
        if len(held) == 64:
            yield from several()
            held = []
    yield from several()


def _heat(weights: list[tuple[str, float]]) -> str:
    """The text with a bar below each character, as high as it mattered; a minus where against."""
    largest = max((abs(weight) for _, weight in weights), default=0) or 1.0
    bars = " ▁▂▃▄▅▆▇█"
    text = "".join(piece.replace("\n", "↵").replace("\t", " ") for piece, _ in weights)
    levels = "".join(
        ("-" if weight < -largest / 8 else bars[max(0, round(8 * weight / largest))]) * len(piece)
        for piece, weight in weights
    )
    return f"{shown(text, sys.stdout)}\n{levels}"


def _measures(score: ClassScore) -> dict[str, Any]:
    return {
        "accuracy": score.accuracy,
        "macro_f1": score.macro_f1,
        "calibration_error": score.calibration_error,
        "nats": None if score.nats != score.nats else score.nats,
        "classes": score.classes,
        "per_class": {
            name: {
                "precision": float(row[0]),
                "recall": float(row[1]),
                "f1": float(row[2]),
                "texts": int(count),
            }
            for name, row, count in zip(
                score.classes, score.per_class, score.confusion.sum(1), strict=True
            )
        },
        "confusion": score.confusion.tolist(),
    }


def _table(score: ClassScore) -> str:
    """Precision, recall and F1 of each class, with the class that it is most often taken for."""
    wide = max(len(name) for name in score.classes)
    lines = [f"  {'':{wide}}  precision  recall     F1  texts  taken for"]
    rows = list(enumerate(score.classes))
    rows.sort(key=lambda row: (score.per_class[row[0], 2], row[1]))
    for place, name in rows[:MOST_CLASSES_SHOWN]:
        precision, recall, f1 = score.per_class[place]
        confused = score.confusion[place].copy()
        confused[place] = 0
        most = int(confused.argmax())
        taken = f"{score.classes[most]} ({confused[most]})" if confused[most] else ""
        count = score.confusion[place].sum()
        lines.append(
            f"  {name:{wide}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {count:5}  {taken}"
        )
    if len(rows) > MOST_CLASSES_SHOWN:
        lines.append(f"  … and {len(rows) - MOST_CLASSES_SHOWN} classes that do better")
    return "\n".join(lines)
