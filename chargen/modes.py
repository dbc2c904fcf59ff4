"""The modes of torch that a caller may have changed, put aside while chargen computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def default_modes() -> Iterator[None]:
    """Computes in single precision, with gradients, without autocast, with new tensors on the CPU.

    Those are torch's defaults. A caller may be inside `torch.no_grad()`, say, or have set another
    default dtype; both are as before afterwards. As a decorator, it is for functions, not for
    generators, whose caller has its own modes at every `yield`.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":  # as a mode of its own, it costs at every call
            stack.enter_context(torch.device("cpu"))
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        yield
