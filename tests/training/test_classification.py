"""The classification head: padding takes no part, directions are true, measures are what they say."""

import math

import numpy as np
import pytest
import torch

from chargen import ChargenError
from chargen.data.batches import Augmentation, Texts
from chargen.model import Classifier, LanguageModel
from chargen.shapes import POOLINGS, ClassifierConfig, ModelConfig
from chargen.training.classification import ClassificationTask
from chargen.training.config import TrainConfig
from chargen.training.loop import train
from chargen.training.state import TrainingState

SHAPES = [
    (cell, bidirectional, pooling)
    for cell in ("lstm", "gru", "rnn")
    for bidirectional in (False, True)
    for pooling in POOLINGS
]
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, 11, length).astype(np.uint8) for length in (9, 1, 30, 4, 17)]


def classifier(cell="lstm", bidirectional=False, pooling="mean", **more):
    shape = {"num_layers": 2, "hidden_size": 8, "embedding_size": 5, **more}
    config = ClassifierConfig(
        11, cell, bidirectional=bidirectional, classes=3, pooling=pooling, **shape
    )
    model = Classifier.new(config, seed=0)
    with torch.no_grad():  # a fresh head says the same of everything
        for weight in [
            *model.head.parameters(),
            *getattr(model, "attention", model.head).parameters(),
        ]:
            weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize(("cell", "bidirectional", "pooling"), SHAPES)
def test_the_number_of_parameters_is_foretold(cell, bidirectional, pooling):
    model = classifier(cell, bidirectional, pooling)
    assert model.config.parameters == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(("cell", "bidirectional", "pooling"), SHAPES)
def test_a_text_is_judged_the_same_alone_and_in_any_batch(cell, bidirectional, pooling):
    model = classifier(cell, bidirectional, pooling)
    texts = Texts.concatenate(TEXTS, [0] * 5)
    together, _ = model(*texts.batch(np.arange(5)))
    for place in range(5):
        alone, _ = model(*texts.batch(np.array([place])))
        assert torch.allclose(alone[0], together[place], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("cell", "bidirectional", "pooling"), SHAPES)
def test_what_stands_behind_a_text_changes_nothing_and_gets_no_gradient(cell, bidirectional, pooling):
    model = classifier(cell, bidirectional, pooling)
    ids, lengths = Texts.concatenate(TEXTS, [0] * 5).batch(np.arange(5))
    padding = torch.arange(len(ids))[:, None] >= lengths
    assert padding.any()
    logits, _ = model(ids, lengths)
    other, _ = model(torch.where(padding, 7, ids), lengths)
    assert torch.equal(logits, other)
    kept = []
    model.stack.embedding.register_forward_hook(
        lambda *call: call[2].retain_grad() or kept.append(call[2])
    )
    logits, _ = model(ids, lengths)
    logits.square().sum().backward()
    gradient = kept[0].grad.abs().sum(-1)
    assert (gradient[padding] == 0).all()
    assert (gradient[~padding] > 0).any()


def test_both_directions_are_two_networks_that_meet():
    """By hand, one layer: the second half is a network that reads the text from its end."""
    model = classifier(bidirectional=True, pooling="last", num_layers=1)
    text = torch.from_numpy(TEXTS[0].astype(np.int64))[:, None]
    lengths = torch.tensor([len(text)])
    embedded = model.stack.embedding(text)
    ahead, _ = model.stack.layers[0](embedded)
    back, _ = model.stack.backward_layers[0](embedded.flip(0))
    ends = [h / h.square().mean(-1, keepdim=True).add(1e-5).sqrt() for h in (ahead[-1], back[-1])]
    ends = torch.cat(ends, -1)
    assert torch.allclose(model(text, lengths)[0], model.head(ends), atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings_by_hand(pooling):
    model = classifier(pooling=pooling)
    ids, lengths = Texts.concatenate(TEXTS, [0] * 5).batch(np.arange(5))
    _, outputs = model(ids, lengths)
    for place, length in enumerate(lengths.tolist()):
        text = outputs[:length, place]
        expected = {
            "last": lambda text: text[-1],
            "mean": lambda text: text.mean(0),
            "max": lambda text: text.max(0)[0],
            "attention": lambda text: (model.attention(text).softmax(0) * text).sum(0),
        }[pooling](text)
        assert torch.allclose(model.pool(outputs, lengths)[place], expected, atol=1e-6)


def test_a_generator_cannot_look_ahead():
    with pytest.raises(ChargenError, match="cannot look ahead"):
        LanguageModel.new(ModelConfig(5, bidirectional=True), seed=0)


def data(number=120, seed=0):
    """Which of three letters comes first decides; the rest is noise."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(0, 11, rng.integers(1, 12)).astype(np.uint8) for _ in range(number)]
    labels = [int(text[0]) % 3 for text in texts]
    return Texts.concatenate(texts, labels)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_direction_sees_nothing_of_the_other_one(cell):
    model = classifier(cell, bidirectional=True, num_layers=2)
    ids, lengths = torch.randint(11, (9, 2)), torch.tensor([9, 6])

    def outputs(changed):
        other = ids.clone()
        other[changed] = (other[changed] + 1) % 11
        return model(other, lengths)[1].split(model.config.hidden_size, -1)

    ahead, back = model(ids, lengths)[1].split(model.config.hidden_size, -1)
    ahead_of_last, back_of_last = outputs((5, [0, 1]))
    assert torch.equal(ahead[:5], ahead_of_last[:5])
    assert not torch.equal(back[0], back_of_last[0])
    ahead_of_first, back_of_first = outputs((0, [0, 1]))
    assert torch.equal(back[1:6], back_of_first[1:6])  # behind a text is padding
    assert not torch.equal(ahead[5], ahead_of_first[5])


def test_both_directions_learn_to_predict_what_they_read_next():
    model = classifier(bidirectional=True, num_layers=2, dropout=0.0)
    config = TrainConfig(steps=1, batch=8)
    task = ClassificationTask(
        data(8), data(9), ["a", "b", "c"], config, augmentation=Augmentation(noise=0.0, cropped=0.0)
    )
    state = TrainingState.begin(model, config)
    output = task.loss(model, state)
    ids, lengths = task._training.batch(task.epoch_batches(0)[0])
    outputs = model(ids, lengths)[1]
    ahead, back = outputs.split(model.config.hidden_size, -1)
    losses: list[list[float]] = [[], []]
    for text, length in enumerate(lengths.tolist()):
        for time in range(length - 1):
            for place, (reader, seen, next_time) in enumerate(
                [
                    (model.reader, ahead[time, text], time + 1),
                    (model.backward_reader, back[time + 1, text], time),
                ]
            ):
                surprise = -reader(seen).log_softmax(-1)[ids[next_time, text]]
                losses[place].append(surprise.item())
    reading = sum(sum(of_direction) / len(of_direction) for of_direction in losses)
    assert (output.loss - output.reported).item() == pytest.approx(reading, rel=1e-4)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_learns_what_decides(bidirectional):
    config = TrainConfig(steps=300, batch=16, learning_rate=0.01)
    task = ClassificationTask(data(600), data(60, seed=1), ["a", "b", "c"], config)
    *steps, last = train(classifier(bidirectional=bidirectional, pooling="last"), task, config)
    assert last.finished
    assert last.score.accuracy > 0.9
    scores = [step.score for step in steps if step.score]
    best = min(scores, key=lambda score: score.validation_loss)
    assert (last.score.predictions == best.predictions).all()  # the best weights, not the last
    assert task.scale != 1  # and calibrated
    assert math.isnan(last.val_bits_per_character)


def test_every_text_is_read_once_an_epoch_and_lengths_meet_their_like():
    texts, config = data(100), TrainConfig(steps=1, batch=8)
    task = ClassificationTask(texts, data(9), ["a", "b", "c"], config)
    for epoch in (0, 1):
        batches = task.epoch_batches(epoch)
        assert sorted(np.concatenate(batches)) == list(range(100))
    assert task.steps_per_epoch == len(batches) == 13
    lengths = np.arange(1, 401)
    long = Texts.concatenate([np.zeros(n, np.uint8) for n in lengths], [0] * 400)
    task = ClassificationTask(long, data(9), ["a", "b"], config)
    padded = sum(long.lengths[b].max() * len(b) for b in task.epoch_batches(0))
    assert padded < 1.15 * lengths.sum()


def test_the_same_seed_learns_the_same():
    config = TrainConfig(steps=6, batch=8, seed=3)

    def losses():
        task = ClassificationTask(data(), data(9), ["a", "b", "c"], config)
        return [step.loss for step in train(classifier(dropout=0.3), task, config)][:-1]

    assert losses() == losses()


def test_balance_weighs_classes_by_a_power_of_their_size():
    texts = Texts.concatenate([np.zeros(3, np.uint8)] * 10, [0] * 9 + [1])
    config = TrainConfig(steps=1, batch=10)
    model = classifier(dropout=0.0)
    with torch.no_grad():
        logits, _ = model(*texts.batch(np.arange(10)))
        surprise = -logits.log_softmax(-1)[0]
    state = TrainingState.begin(model, config)
    given = (texts, texts, ["a", "b", "c"], config)
    whole = Augmentation(reading=0.0, cropped=0.0)
    plain = ClassificationTask(*given, augmentation=whole).loss(model, state).loss
    balanced = ClassificationTask(*given, balance=True, augmentation=whole)
    assert plain.item() == pytest.approx((9 * surprise[0] + surprise[1]).item() / 10, rel=1e-5)
    assert balanced.loss(model, state).loss.item() == pytest.approx(
        (9**0.6 * surprise[0] + surprise[1]).item() / (9**0.6 + 1), rel=1e-5
    )


@pytest.mark.parametrize(("cell", "bidirectional", "pooling"), SHAPES)
def test_g17_a_loss_needs_no_number_of_its_device(cell, bidirectional, pooling):
    """Reading one would wait for a GPU; "meta" is a device that has none to read."""
    model = classifier(cell, bidirectional, pooling, dropout=0.3)
    config = TrainConfig(steps=1, batch=8)
    task = ClassificationTask(data(20), data(9), ["a", "b", "c"], config, balance=True)
    state = TrainingState.begin(model, config)
    expected = task.loss(model, state)
    result = task.loss(model.to("meta"), state)
    assert result.loss.device.type == "meta"
    assert result.ids == expected.ids


def test_a_batch_of_single_tokens_has_no_next_ones_to_predict():
    model, config = classifier(), TrainConfig(steps=1, batch=4)
    texts = Texts.concatenate([np.array([n], np.uint8) for n in range(4)], [0, 1, 2, 0])
    task = ClassificationTask(texts, texts, ["a", "b", "c"], config)
    assert math.isfinite(task.loss(model, TrainingState.begin(model, config)).loss.item())
