"""A step that is captured once and replayed is the step; the graph is simulated on a CPU."""

import itertools

import pytest
import simulated_graph
import torch

from chargen.data.corpus import prepare
from chargen.data.text import Text
from chargen.device import trains_in_bf16
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training import cuda_graph, language_modeling, soap
from chargen.training.averages import WeightAverages
from chargen.training.config import TrainConfig
from chargen.training.cuda_graph import WARM_UP_STEPS, GraphedStep
from chargen.training.language_modeling import LanguageTask
from chargen.training.loop import train
from chargen.training.soap import Soap
from chargen.training.state import TrainingState
from chargen.training.step import Stepper

CONFIG = TrainConfig(steps=24, batch=4, window=16, precision="fp32")
NEVER = 10**6  # steps of warm-up, with which no capture is to come
REPLAYED = "cannot be replayed as a CUDA graph"


@pytest.fixture(autouse=True)
def without_onednn():
    """Its LSTM returns other outputs for a backward pass, which no graph would see."""
    before = torch.backends.mkldnn.set_flags(False)
    yield
    torch.backends.mkldnn.set_flags(*before)


@pytest.fixture(params=[None, "line"], ids=["text", "documents"])
def corpus(request, verse):
    return prepare(Text.from_string(verse), split_on=request.param)


@pytest.fixture
def documents(verse):
    return prepare(Text.from_string(verse), split_on="line")


def model_for(corpus, cell="lstm", dropout=0.0, hidden=16):
    return LanguageModel.new(ModelConfig(len(corpus.tokenizer), cell, 2, hidden, 8, dropout), 1)


def taken(model, corpus, stepper=None, config=CONFIG, state=None, task=None):
    """Trains with the steps of `stepper`, by default plain ones; returns records and the state."""
    task = task or LanguageTask(corpus, config)
    state = state or TrainingState.begin(model, config)
    if stepper:
        stepper = stepper(model, task, config.precision)
    return list(train(model, task, config, state, stepper=stepper)), state


def graphed(captures, sync_every=1, warm_up=WARM_UP_STEPS, capture=simulated_graph.capture):
    """Makes steps that are captured by `capture`; each capture is appended to `captures`."""

    def recorded(work, rng):
        captures.append(work)
        return capture(work, rng)

    def stepper(model, task, precision):
        made = GraphedStep(model, task, precision, recorded, warm_up)
        made.sync_every = sync_every
        return made

    return stepper


def difference(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def remarks(steps):
    return [step.remark for step in steps if step.remark]


def scaled(model, scale):
    """A training whose losses are scaled, as they are in half precision on a GPU."""
    state = TrainingState.begin(model, CONFIG)
    if scale:
        state.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return state


# The graph does what the steps do --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scale", [None, 65536.0, 1e38])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_captured_steps_are_the_steps(corpus, cell, scale):
    plain, model = (model_for(corpus, cell, dropout=0.3) for _ in range(2))
    expected, before = taken(plain, corpus, graphed([], warm_up=NEVER), state=scaled(plain, scale))
    captures = []
    steps, state = taken(model, corpus, graphed(captures), state=scaled(model, scale))
    assert len(captures) == 1
    assert remarks(steps) == []
    assert difference(model, plain) == 0
    assert [(s.number, s.loss, s.evaluated, s.score) for s in steps[:-1]] == [
        (s.number, s.loss, s.evaluated, s.score) for s in expected[:-1]
    ]
    assert state.position == before.position
    assert state.scaler.state_dict() == before.scaler.state_dict()
    assert torch.equal(state.rng.get_state(), before.rng.get_state())


@pytest.mark.parametrize("sync_every", [1, 5])
def test_and_nearly_those_that_take_rates_as_numbers(corpus, sync_every, monkeypatch):
    # For a fresh state, a graph draws as well, plain steps do not.
    monkeypatch.setattr(language_modeling, "RESET_PROBABILITY", 0.0)
    plain, model = model_for(corpus), model_for(corpus)
    expected, _ = taken(plain, corpus)
    steps, _ = taken(model, corpus, graphed([], sync_every))
    assert difference(model, plain) < 1e-5
    assert [step.number for step in steps] == [step.number for step in expected]


@pytest.mark.slow
@pytest.mark.parametrize("generations", [1, 2, 3])
def test_so_are_those_of_students(documents, generations, monkeypatch):
    config = TrainConfig(steps=30, batch=4, window=16, precision="fp32", generations=generations)
    monkeypatch.setattr(language_modeling, "can_capture", lambda *_: True)
    models = []
    for warm_up in (NEVER, WARM_UP_STEPS):
        captures = []
        monkeypatch.setattr(language_modeling, "GraphedStep", graphed(captures, warm_up=warm_up))
        models.append(model_for(documents, dropout=0.3))
        steps = list(language_modeling.train(models[-1], documents, config))
        assert not [remark for remark in remarks(steps) if REPLAYED in remark]
    assert len(captures) == generations
    assert difference(*models) == 0


@pytest.mark.skipif(not trains_in_bf16("lstm"), reason="this processor cannot train in bf16")
def test_so_are_those_in_bf16(verse):
    corpus, models = prepare(Text.from_string(verse)), []
    config = TrainConfig(steps=24, batch=4, window=16, precision="bf16")
    for warm_up in (NEVER, WARM_UP_STEPS):
        models.append(model_for(corpus, dropout=0.2))
        steps, _ = taken(models[-1], corpus, graphed([], warm_up=warm_up), config)
        assert remarks(steps) == []
    assert difference(*models) == 0


def test_g14_a_training_that_begins_at_a_short_window_captures_a_long_one(documents):
    model = model_for(documents)
    state, captures = TrainingState.begin(model, CONFIG), []
    state.position = len(documents.training) // CONFIG.batch - 3  # of an epoch, three tokens are left
    steps = taken(model, documents, graphed(captures), state=state)[0]
    assert len(captures) == 1
    assert remarks(steps) == []
    stepper = graphed(captures)(model, LanguageTask(documents, CONFIG), "fp32")
    state.position = len(documents.training) // CONFIG.batch - 3
    for number in range(WARM_UP_STEPS + 2):
        assert len(captures) == 1, number
        state.position += stepper(state).advance
    assert len(captures) == 2


def test_g18_half_precision_that_was_given_up_is_not_replayed(documents):
    if not trains_in_bf16("rnn"):
        pytest.skip("this processor cannot train in bf16")
    config = TrainConfig(steps=24, batch=4, window=16, precision="bf16")
    models, captures = [], []
    for warm_up in (NEVER, WARM_UP_STEPS):
        models.append(model_for(documents, "rnn", dropout=0.2))
        task, state = LanguageTask(documents, config), TrainingState.begin(models[-1], config)
        stepper = graphed(captures, warm_up=warm_up)(models[-1], task, "bf16")
        for step in train(models[-1], task, config, state, stepper=stepper):
            assert not step.remark
            if step.number == 9:
                state.use_single_precision()
    assert len(captures) == 2
    assert difference(*models) == 0


def test_what_is_not_finite_is_found_late_and_taken_back(verse):
    corpus = prepare(Text.from_string(verse))
    model, calls = model_for(corpus), itertools.count()

    class Spoiled(LanguageTask):
        def window(self, position, device):
            if next(calls) == 15:
                with torch.no_grad():
                    model.head.bias.fill_(float("nan"))
            return super().window(position, device)

    steps, state = taken(model, corpus, graphed([], sync_every=4), task=Spoiled(corpus, CONFIG))
    (fault,) = remarks(steps)
    assert "the loss was nan" in fault
    assert "with half the learning rate" in fault
    assert state.breakdowns == 1
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert steps[-1].score.nats_per_token < steps[1].score.nats_per_token


def test_a_training_goes_on_from_what_a_graph_left(verse):
    corpus = prepare(Text.from_string(verse))
    whole, model = model_for(corpus), model_for(corpus)
    taken(whole, corpus, graphed([]))
    task, state = LanguageTask(corpus, CONFIG), TrainingState.begin(model, CONFIG)
    stepper = graphed([])(model, task, "fp32")
    for step in train(model, task, CONFIG, state, stepper=stepper):
        if step.number == 11:
            break
    tensors = {name: tensor.clone() for name, tensor in state.tensors(model).items()}
    numbers = state.numbers()
    other = model_for(corpus)
    state = TrainingState.begin(other, CONFIG)
    state.restore(other, tensors, numbers)
    taken(other, corpus, graphed([]), state=state)
    assert difference(other, whole) == 0


@pytest.mark.slow
@pytest.mark.parametrize("student", [False, True])
def test_a_step_mixes_no_devices_and_waits_for_nothing(documents, student, monkeypatch):
    """The device "meta" computes shapes alone: it takes no tensor of the CPU and gives no number."""
    small = TrainConfig(steps=9, batch=2, window=4, precision="fp32")
    model, rng, devices = model_for(documents, dropout=0.3), torch.Generator(), set()
    TrainingState.begin(model, small)  # imports all that an optimizer needs
    model.to("meta")

    def adamw(updated, gradients, averages, squares, _, steps, *, lr, **__):  # "meta" lacks the kernel
        devices.update(t.device.type for t in (*updated, *gradients, *averages, *squares, *steps, lr))

    monkeypatch.setattr(soap, "adamw", adamw)
    monkeypatch.setattr(cuda_graph, "agree", lambda *_: True)  # which waits, once
    task = LanguageTask(documents, small)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "Generator", lambda _: rng)  # "meta" has none, either
        state = TrainingState.begin(model, small)
    if student:
        weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        task.set_teacher(model, weights)
        state.set_teacher(weights)
    stepper = graphed([], capture=lambda work, _: work)(model, task, "fp32")
    for _ in range(WARM_UP_STEPS + 6):  # the eighth one finds new bases
        state.optimizer.set_rate(small.learning_rate)
        output = stepper(state)
        state.step += 1
        state.position += output.advance
        assert not output.remark
        assert output.loss.device.type == output.gradient_norm.device.type == "meta"
    assert devices == {"meta"}


# What a graph must not do is found -------------------------------------------------------------------


def pace_as_a_number(monkeypatch, model):
    update = Stepper.update
    monkeypatch.setattr(
        Stepper, "update", lambda self, loss, state, _: update(self, loss, state, state.average_weight)
    )


def rate_as_a_number(monkeypatch, model):
    def set_rate(self, rate):
        for group in self.param_groups:
            group["lr"] = rate * group["share"]  # a new tensor is made of it at each step

    monkeypatch.setattr(Soap, "set_rate", set_rate)


def averages_replaced(monkeypatch, model):
    def update(self, share):
        for weight, average in self.tensors().values():
            average.data = average.lerp(weight, share)

    monkeypatch.setattr(WeightAverages, "update", update)


def averages_swapped_for_new_tensors(monkeypatch, model):
    def swap(self):
        for name, weight in model.named_parameters():
            average = self.tensors()[name][1]
            weight.data, average.data = average.clone(), weight.detach().clone()

    monkeypatch.setattr(WeightAverages, "swap", swap)


def gradients_not_put_back(monkeypatch, model):
    call = GraphedStep.__call__

    def renewed(self, state):
        output = call(self, state)
        for weight in self.model.parameters():
            weight.grad = weight.grad.clone()
        return output

    monkeypatch.setattr(GraphedStep, "__call__", renewed)


def basis_replaced(monkeypatch, model):
    observe = Soap.observe

    def replaced(self):
        observe(self)
        for state in self.state.values():
            state |= {name: state[name].clone() for name in state if name == "basis"}

    monkeypatch.setattr(Soap, "observe", replaced)


def number_read(monkeypatch, model):
    update = Stepper.update

    def reading(self, loss, state, weight):
        assert float(loss.detach()) > 0
        return update(self, loss, state, weight)

    monkeypatch.setattr(Stepper, "update", reading)


@pytest.mark.slow
@pytest.mark.parametrize(
    "plant",
    [
        pace_as_a_number,
        rate_as_a_number,
        averages_replaced,
        averages_swapped_for_new_tensors,
        gradients_not_put_back,
        basis_replaced,
        number_read,
    ],
)
@pytest.mark.parametrize("proven", [True, False])
def test_a_step_that_no_graph_can_take_is_told_apart(documents, plant, proven, monkeypatch):
    """Each fault changes what a graph gives, or is noticed when its first replay is proven."""
    if not proven:
        monkeypatch.setattr(cuda_graph, "agree", lambda *_: True)
    plain, model = model_for(documents, dropout=0.3), model_for(documents, dropout=0.3)
    taken(plain, documents, graphed([], warm_up=NEVER))
    plant(monkeypatch, model)
    steps, _ = taken(model, documents, graphed([]))
    assert remarks(steps) or difference(model, plain) > 0


# What fails is said, and does no harm ----------------------------------------------------------------


def refused(work, rng):
    raise RuntimeError("operation not permitted when stream is capturing\nCompile with …")


def refused_midway(work, rng):
    simulated_graph.capture(work, rng)
    rng.manual_seed(0)
    raise ValueError("a generator is still capturing")


def empty(work, rng):
    return lambda: None


def wrong(work, rng):
    """A replay that draws other random numbers."""
    replay = simulated_graph.capture(work, rng)
    return lambda: [rng.manual_seed(3), replay()]


def fails(work, rng):
    def replay():
        raise RuntimeError("CUDA error: invalid argument")

    return replay


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (refused, "operation not permitted when stream is capturing"),
        (refused_midway, "a generator is still capturing"),
        (empty, "a replay gave another result"),
        (wrong, "a replay gave another result"),
        (fails, "CUDA error: invalid argument"),
    ],
)
@pytest.mark.parametrize("scale", [None, 65536.0])
def test_g4_g5_what_cannot_be_captured_goes_on_kernel_by_kernel(documents, capture, reason, scale):
    plain, model = model_for(documents, dropout=0.3), model_for(documents, dropout=0.3)
    taken(plain, documents, graphed([], warm_up=NEVER), state=scaled(plain, scale))
    captures = []
    steps, state = taken(
        model, documents, graphed(captures, capture=capture), state=scaled(model, scale)
    )
    assert len(captures) == 1
    assert remarks(steps) == [
        f"steps {REPLAYED} ({reason}): from now on their kernels are launched one by one, which takes "
        "longer"
    ]
    assert steps[WARM_UP_STEPS].remark
    assert difference(model, plain) == 0
    assert state.scaler.is_enabled() == bool(scale)


def test_g5_a_failed_capture_leaves_no_stream_no_graph_and_no_generator_behind(monkeypatch, verse):
    from chargen.device import captured

    events = []

    class Graph:
        def register_generator_state(self, rng):
            events.append("registered")

        def reset(self):
            events.append("reset")

    class Capturing:
        def __init__(self, graph):
            pass

        def __enter__(self):
            pass

        def __exit__(self, *_):
            raise RuntimeError("the capture was invalidated")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Capturing)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "the usual stream")
    monkeypatch.setattr(torch.cuda, "set_stream", events.append)
    with pytest.raises(RuntimeError, match="invalidated"):
        captured(lambda: None, torch.Generator())
    assert events == ["registered", "the usual stream", "reset"]
    corpus = prepare(Text.from_string(verse))
    model = model_for(corpus)
    state = TrainingState.begin(model, CONFIG)
    rng = state.rng
    taken(model, corpus, graphed([], capture=refused), state=state)
    assert state.rng is not rng


# On a GPU ------------------------------------------------------------------------------------------

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_graph_learns_what_plain_steps_do(verse, precision):
    corpus = prepare(Text.from_string(verse))
    config = TrainConfig(steps=60, batch=8, window=16, precision=precision)
    scores = []
    for stepper in (None, GraphedStep):
        model = model_for(corpus, hidden=128).cuda()
        steps, _ = taken(model, corpus, stepper, config)
        assert [step.remark for step in steps if step.remark] == []
        scores.append(steps[-1].score.nats_per_token)
    assert scores[1] == pytest.approx(scores[0], abs=0.01 if precision == "fp32" else 0.05)


@pytest.mark.gpu
@gpu
def test_a_second_network_learns_on_a_gpu_what_it_does_elsewhere(verse):
    corpus = prepare(Text.from_string(verse))
    config = TrainConfig(steps=80, batch=8, window=16, precision="fp32", generations=2)
    scores = []
    for device in ("cpu", "cuda"):
        model = model_for(corpus, hidden=128).to(device)
        *_, last = language_modeling.train(model, corpus, config)
        scores.append(last.score.nats_per_token)
    assert scores[1] == pytest.approx(scores[0], abs=0.05)


@pytest.mark.gpu
@gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature")
def test_a_captured_step_waits_for_nothing(verse):
    corpus = prepare(Text.from_string(verse))
    model = model_for(corpus, dropout=0.2, hidden=128).cuda()
    config = TrainConfig(steps=60, batch=8, window=16, precision="bf16")
    task, progress = LanguageTask(corpus, config), TrainingState.begin(model, config)
    stepper = GraphedStep(model, task, config.precision)
    for _ in range(WARM_UP_STEPS + 6):  # the eighth step finds a basis, which may wait
        stepper(progress)
        progress.step += 1
        progress.position += config.window
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            stepper(progress)
            progress.position += config.window
    finally:
        torch.cuda.set_sync_debug_mode("default")
