"""The learning-rate schedule: a linear ramp, then a cosine (Loshchilov and Hutter 2017)."""

import math

WARM_UP = 0.02  # share of the budget in which the learning rate rises
FINAL_RATE = 0.1  # share of the peak learning rate at the end of the cosine


def rate_share(done: float) -> float:
    """Returns the learning rate as a share of its peak, where the share `done` of the budget is spent.

    Both are from 0 to 1. The schedule ends with the budget, so that the loss is lowest then.
    """
    cosine = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * done)) / 2
    return min(1.0, (done + 1e-3) / WARM_UP) * cosine
