"""A CUDA graph on a CPU: what a capture records, and what a replay computes without any Python.

    replay = capture(work)          # records each kernel of `work` and its memory; computes nothing
    replay()                        # launches the same kernels on the same memory

As on a GPU, a capture leaves all memory as it was, the results in new memory are no numbers before the
first replay, and whatever needs a number on the CPU cannot be captured. oneDNN has to be off, since
its LSTM returns other outputs without a gradient (`torch.backends.mkldnn.set_flags(False)`).
"""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

NEEDS_NUMBERS = {
    *("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"),
    *("aten::is_nonzero", "aten::unique_dim", "aten::_unique2", "aten::lift_fresh"),
}
TO_CPU = {
    *("cpu", "numpy", "tolist", "item"),
    *("__array__", "__bool__", "__float__", "__index__", "__int__"),
}
NOT_PERMITTED = "operation not permitted when stream is capturing"
DRAWS = ("bernoulli", "normal", "uniform", "rand", "exponential", "dropout", "multinomial")


def capture(work, rng=None):
    """Stands in for `chargen.device.captured`."""
    recorder, before = _Recorder(rng), None if rng is None else rng.get_state()
    try:
        with _RefuseToRead(), recorder:
            work()
    finally:
        recorder.forget()
        if rng is not None:
            rng.set_state(before)
    return recorder.replay


class _RefuseToRead(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in TO_CPU:
            raise RuntimeError(f"{function.__name__}: {NOT_PERMITTED}")
        return function(*args, **(kwargs or {}))


class _Recorder(TorchDispatchMode):
    """Records kernels, each with tensors that keep to their memory, whatever becomes of the names."""

    def __init__(self, rng):
        super().__init__()
        self._rng, self._kernels = rng, []
        self._before = {}  # the contents of memory that was there and is written to
        self._made = {}  # the tensors that the work made

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self._check(function, args, kwargs)
        for argument, value in self._with_schema(function, args, kwargs):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_flatten(value)[0]:
                    self._keep(tensor)
        pinned = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, kwargs))
        results = function(*args, **kwargs)
        made = [tensor.detach() for tensor in _made_by(function, results)]
        self._made |= {tensor.untyped_storage().data_ptr(): tensor for tensor in made}
        if made or function._schema.is_mutable:
            self._kernels.append((function, pinned, made))
        return results

    def _check(self, function, args, kwargs):
        name = function._schema.name
        values = tree_flatten((args, kwargs))[0]
        indices = args[1] if name.startswith(("aten::index", "aten::_index")) and len(args) > 1 else []
        masks = [i for i in tree_flatten(indices)[0] if getattr(i, "dtype", None) == torch.bool]
        if name in NEEDS_NUMBERS or masks:
            raise RuntimeError(f"{name}: {NOT_PERMITTED}")
        generators = [value for value in values if isinstance(value, torch.Generator)]
        if any(draw in name for draw in DRAWS) and not any(map(self._is_registered, generators)):
            raise RuntimeError(f"{name}: its generator is not registered with the graph")

    def _is_registered(self, generator):
        # Each kernel gets another Python object for the same generator.
        return self._rng is not None and generator.get_state().equal(self._rng.get_state())

    @staticmethod
    def _with_schema(function, args, kwargs):
        for number, argument in enumerate(function._schema.arguments):
            if number < len(args):
                yield argument, args[number]
            elif argument.name in kwargs:
                yield argument, kwargs[argument.name]

    def _keep(self, tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._made and storage.data_ptr() not in self._before:
            self._before[storage.data_ptr()] = storage, storage.clone()

    def forget(self):
        """Undoes what was computed: a capture only records."""
        for storage, contents in self._before.values():
            storage.copy_(contents)
        for tensor in self._made.values():
            if tensor.untyped_storage().data_ptr() not in self._before and tensor.is_floating_point():
                tensor.fill_(float("nan"))

    @torch.no_grad()
    def replay(self):
        """Launches the recorded kernels."""
        for function, (args, kwargs), made in self._kernels:
            results = _made_by(function, function(*args, **kwargs))
            for tensor, result in zip(made, results, strict=True):
                if tensor.data_ptr() != result.data_ptr():
                    tensor.copy_(result)


def _made_by(function, results):
    """Returns the results of a kernel that are neither its arguments nor views of them."""
    returns = function._schema.returns
    pairs = zip(returns, results if len(returns) > 1 else [results], strict=True) if returns else []
    new = [result for returned, result in pairs if returned.alias_info is None]
    return [tensor for tensor in tree_flatten(new)[0] if isinstance(tensor, torch.Tensor)]
