"""The lines of `chargen train` on its text, and on the trained model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargen.cli.terminal import say, say_notes
from chargen.rendering.progress import format_seconds

if TYPE_CHECKING:
    from chargen.data.corpus import Corpus
    from chargen.runs.launch import NewTraining, ResumedTraining
    from chargen.training.loop import Step

LARGE_TEXT = 300_000_000  # bytes, from which on reading takes long enough to be said


def scores_of(folder: Path) -> dict[str, Any]:
    """Returns what --json prints, from the config.json of a model."""
    from chargen.generator import TextGenerator

    writer = TextGenerator.load(folder)
    scores = writer.record.scores
    return {
        "checkpoint": str(folder),
        "parameters": writer.model.config.parameters,
        "steps": scores["steps"],
        "seconds": scores["seconds"],
        "characters_per_second": scores["characters_per_second"],
        "val_nats_per_token": scores["val_nats_per_token"],
        "val_bits_per_character": scores["val_bits_per_character"],
        "best_step": scores["step"],
        "seed": writer.record.training["seed"],
    }


def say_corpus(training: NewTraining | ResumedTraining) -> None:
    """Says what the text is, and all that a person should know of how it was read."""
    said = len(training.text.notes)
    say_notes(training.text.notes)
    if training.text.size > LARGE_TEXT:
        say(f"reading  {training.text.size / 1e9:,.1f} GB of text")
    description = _describe(training.corpus)
    say_notes(training.text.notes[said:])  # of what tokenizing met
    say(description)


def _describe(corpus: Corpus) -> str:
    tokens = corpus.training[: 1 << 20]
    characters, _ = corpus.tokenizer.measure(tokens)
    per_token = characters / len(tokens)
    unit = "characters" if corpus.tokenizer.kind == "char" else "tokens"
    sizes = f"{len(corpus.training):,} {unit} to train on, {len(corpus.validation):,} for validation"
    if (end := corpus.tokenizer.end_id) is not None:
        counts = [int((part == end).sum()) for part in (corpus.training, corpus.validation)]
        how = "chosen at random" if corpus.split_seed is not None else "the last ones"
        sizes += f" ({counts[0]:,} and {counts[1]:,} documents, {how})"
    if per_token > 1.005:
        sizes += f", {per_token:.2f} characters each"
    return f"corpus   {corpus.name}: {sizes}\n         {corpus.tokenizer.describe()}"


def say_result(last: Step, baselines: dict[str, float], folder: Path, held_out: int) -> None:
    """Says how good the trained model is, beside the `baselines`, and where it is.

    `held_out` is the number of tokens that were held out.
    """
    from chargen.evaluation.baselines import better_note

    if last.score:
        bits, characters = last.score.bits_per_character, f"{last.score.characters:,}"
        is_all = last.score.tokens + 1 >= held_out
        part = characters if is_all else f"the first {characters}"
        of_all = "" if is_all else f" ({held_out:,} tokens are held out)"
        others = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
        say(
            f"done     {bits:.3f} bits per character ({others})\n"
            f"         {last.score.nats_per_token:.4f} nats per token, on {part} held-out characters"
            f"{of_all}\n"
            f"         best at step {last.best_step:,} of {last.number:,}, in "
            f"{format_seconds(last.seconds)}"
        )
        if note := better_note(baselines, bits):
            say(f"note: {note}")
    else:
        say(f"done     {last.number:,} steps in {format_seconds(last.seconds)}, without validation")
    say(f"model    {folder}\nwrite    chargen sample -m {shlex.quote(str(folder))} --prompt …")
