"""The optimizer is AdamW where there is nothing to turn, and faster where there is."""

import pytest
import torch

from chargen.training import soap
from chargen.training.soap import Soap


def gradients(shape, steps, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=rng) for _ in range(steps)]


def adamw(weight, lr):
    return torch.optim.AdamW(
        [weight], lr=lr, betas=soap.BETAS, eps=soap.EPSILON, weight_decay=soap.WEIGHT_DECAY
    )


def moved(weight, optimizer, given):
    for gradient in given:
        weight.grad = gradient.clone()
        optimizer.step()
        if isinstance(optimizer, Soap):
            optimizer.observe()
    return weight.detach()


@pytest.mark.parametrize(("shape", "steps"), [((7,), 30), ((5, 7), 2)])
def test_a_vector_and_the_first_steps_of_a_matrix_are_adamws(shape, steps):
    ours, theirs = torch.nn.Parameter(torch.ones(shape)), torch.nn.Parameter(torch.ones(shape))
    given = gradients(shape, steps)
    found = moved(ours, Soap([{"params": [ours]}], 0.01), given)
    assert torch.allclose(found, moved(theirs, adamw(theirs, 0.01), given), atol=1e-6)


def test_the_basis_is_orthonormal_and_turns_towards_the_eigenvectors():
    weight = torch.nn.Parameter(torch.zeros(20, 4))
    optimizer = Soap([{"params": [weight]}], 0.01)
    axes = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    scales = torch.tensor([10.0, 5.0, 1.0, 0.1])
    moved(weight, optimizer, [g * scales @ axes.T for g in gradients((20, 4), 400)])
    basis = optimizer.state[weight]["basis"]
    assert torch.allclose(basis.T @ basis, torch.eye(4), atol=1e-5)
    assert ((axes.T @ basis).abs().amax(0) > 0.95).all()


def test_correlated_inputs_are_learned_in_fewer_steps_than_by_adamw():
    """A linear map of inputs that all look alike: their differences are what counts."""
    rng = torch.Generator().manual_seed(0)
    mixing = torch.linalg.qr(torch.randn(16, 16, generator=rng))[0]
    inputs = torch.randn(256, 16, generator=rng) * torch.logspace(0, -3, 16) @ mixing.T
    target = torch.randn(8, 16, generator=rng)
    left = {}
    for make in (adamw, lambda weight, lr: Soap([{"params": [weight]}], lr)):
        weight = torch.nn.Parameter(torch.zeros(8, 16))
        optimizer = make(weight, 0.03)
        for step in range(300):
            for group in optimizer.param_groups:
                group["lr"] = 0.03 * (1 - step / 300)
            loss = ((inputs @ (weight - target).T) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if isinstance(optimizer, Soap):
                optimizer.observe()
        left[type(optimizer).__name__] = loss.item()
    assert left["Soap"] < 0.75 * left["AdamW"]


def test_what_rounding_alone_tells_apart_is_not_turned_by_it():
    """Gradients of rank one, and the same with noise of the size of rounding errors."""
    bases = []
    for noise in (0.0, 1e-6):
        weight = torch.nn.Parameter(torch.zeros(6, 5))
        optimizer = Soap([{"params": [weight]}], 0.01)
        row = torch.arange(1.0, 6.0)
        given = [
            torch.outer(g, row) + noise * e
            for g, e in zip(gradients((6,), 40), gradients((6, 5), 40, seed=1), strict=True)
        ]
        moved(weight, optimizer, given)
        bases.append(optimizer.state[weight]["basis"])
    assert torch.allclose(*bases, atol=1e-3)


def test_a_group_without_gradients_stays_where_it_is():
    still, other = torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(3, 2))
    optimizer = Soap([{"params": [still]}, {"params": [other], "share": 0.5}], 0.01)
    moved(other, optimizer, gradients((3, 2), 3))
    assert torch.equal(still, torch.ones(3, 2))
    assert not torch.equal(other, torch.ones(3, 2))
    assert optimizer.param_groups[1]["share"] == 0.5


def test_turning_in_bf16_goes_nearly_the_same_way():
    ways = []
    for in_bf16 in (False, True):
        weight = torch.nn.Parameter(torch.zeros(20, 8))
        optimizer = Soap([{"params": [weight]}], 0.01, rotate_in_bf16=in_bf16)
        ways.append(moved(weight, optimizer, gradients((20, 8), 50)))
    assert not torch.equal(*ways)
    assert (ways[1] - ways[0]).norm() < 0.05 * ways[0].norm()
