"""The probe reads the final states, and each component alone."""

import numpy as np
import torch

from chargen import TextGenerator
from chargen.data.encoding import encode_labelled
from chargen.inspection.probe import final_states, probe


def test_the_probe_finds_what_the_state_knows(moods):
    """One component of a state that was put there by hand says it all."""
    writer = TextGenerator.new("".join(moods.texts), hidden_size=8, num_layers=2)
    training, validation = moods.split(0.2, seed=0)
    parts = [encode_labelled(part, writer.tokenizer, moods.classes) for part in (training, validation)]
    states = final_states(writer.model, parts[0])
    assert states.shape == (len(training), 2 * 2 * 8)
    ids = torch.from_numpy(parts[0].ids[: parts[0].ends[0]].astype(np.int64))[:, None]
    _, state = writer.model.stack(ids, writer.model.initial_state(1))
    by_hand = torch.cat([part[0, 0] for layer in state for part in layer])
    assert np.allclose(states[0], by_hand.detach().numpy(), atol=1e-6)
    score, alone = probe(writer.model, *parts, moods.classes)
    assert score.accuracy >= 0.5
    assert 1 <= alone.component.layer <= 2
    assert alone.component.kind in ("hidden", "cell")
    assert 0 <= alone.component.index < 8
    assert len(alone.means) == 2
