"""Fake a device that is not the CPU, for machines without a GPU.

Its tensors report the device `meta` and wrap a CPU tensor, which computes for them. As on a GPU, an operation must not
mix tensors of the two devices, random numbers come from the generator of the turn, and reading a number into Python
synchronises, which is recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import adam, optimizer, rmsprop
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from gantry import rng

CPU_DEVICE, FAKE_DEVICE = torch.device("cpu"), torch.device("meta")
aten = torch.ops.aten
COPY_OPS = (aten._to_copy.default, aten.copy_.default)
FETCH_OPS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default)
INDEX_OPS = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)


class FakeDeviceTensor(Tensor):
    """A tensor of the fake device; `cpu_tensor` has its values."""

    cpu_tensor: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, cpu_tensor: Tensor) -> "FakeDeviceTensor":
        layout = {"strides": cpu_tensor.stride(), "storage_offset": cpu_tensor.storage_offset()}
        wrapper: FakeDeviceTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, cpu_tensor.size(), device=FAKE_DEVICE, dtype=cpu_tensor.dtype, **layout
        )
        wrapper.cpu_tensor = cpu_tensor
        return wrapper

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute_on_cpu(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.cpu_tensor.clone().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        clone = FakeDeviceTensor(self.cpu_tensor.clone())
        return torch.nn.Parameter(clone, self.requires_grad) if isinstance(self, torch.nn.Parameter) else clone


class FakeDeviceMode(TorchDispatchMode):
    """Lets tensors be created on the fake device and moved to it; lists the operations that synchronise."""

    def __init__(self) -> None:
        super().__init__()
        self.synchronizing_ops: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        on_fake_device = [isinstance(tensor, FakeDeviceTensor) for tensor in tensor_leaves(args, kwargs)]
        if not any(on_fake_device) and kwargs.get("device") != FAKE_DEVICE:
            return func(*args, **kwargs)
        if is_synchronizing(func, args, kwargs):
            self.synchronizing_ops.append(str(func))
        return compute_on_cpu(func, args, kwargs)


def tensor_leaves(*tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def is_synchronizing(func: Any, args: Any, kwargs: Any) -> bool:
    """Return True if an operation copies between the devices, or needs the count of a boolean mask."""
    if func in COPY_OPS:
        other = args[1].device if func is aten.copy_.default else kwargs.get("device") or args[0].device
        return {args[0].device, other} == {CPU_DEVICE, FAKE_DEVICE}
    return func in FETCH_OPS or (
        func in INDEX_OPS and any(index.dtype == torch.bool for index in tensor_leaves(args[1]))
    )


def compute_on_cpu(func: Any, args: Any, kwargs: Any) -> Any:
    """Compute an operation on the CPU tensors and wrap its results; among the inputs only CPU scalars are allowed."""
    inputs = tensor_leaves(args, kwargs)
    if func not in COPY_OPS and any(isinstance(t, FakeDeviceTensor) for t in inputs):
        mixed = [tuple(t.shape) for t in inputs if not isinstance(t, FakeDeviceTensor) and t.dim()]
        assert not mixed, f"{func} mixes tensors of two devices; those of shapes {mixed} are on the CPU"
    device = kwargs.get("device") or inputs[0].device
    cpu_args, cpu_kwargs = tree_map(lambda x: x.cpu_tensor if isinstance(x, FakeDeviceTensor) else x, (args, kwargs))
    result = func(*cpu_args, **cpu_kwargs | ({"device": CPU_DEVICE} if "device" in kwargs else {}))
    if device == CPU_DEVICE:
        return args[0] if func is aten.copy_.default else result
    if func._schema.name.startswith("aten::_foreach_") and func._schema.name.endswith("_"):
        return None
    outputs = tree_map(lambda x: FakeDeviceTensor(x) if isinstance(x, Tensor) else x, result)
    if inputs and inputs[0].device == FAKE_DEVICE:
        return return_and_correct_aliasing(func, args, kwargs, outputs)
    return outputs


@contextmanager
def use_fake_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDeviceMode]:
    """Make Lightning train on the fake device inside the block, although it is configured for the CPU."""
    init, get_generator, autocast = SingleDeviceStrategy.__init__, rng._device_generator, torch.autocast

    def get_cpu_generator(device: torch.device) -> torch.Generator:
        return get_generator(CPU_DEVICE if device == FAKE_DEVICE else device)

    with monkeypatch.context() as patch, FakeDeviceMode() as mode:
        patch.setattr(SingleDeviceStrategy, "__init__", lambda self, device, **kw: init(self, FAKE_DEVICE, **kw))
        patch.setattr(CPUAccelerator, "setup_device", lambda self, device: None)
        patch.setattr(rng, "_device_generator", get_cpu_generator)
        patch.setattr(torch, "tensor", wrap_tensor_factory(torch.tensor))
        patch.setattr(torch, "autocast", lambda device, *args, **kw: autocast(CPU_DEVICE.type, *args, **kw))
        for module in (adam, optimizer, rmsprop):
            for kind in ("fused_kernels", "capturable", "foreach_kernels"):
                patch.setattr(module, f"_get_{kind}_supported_devices", lambda: [FAKE_DEVICE.type], raising=False)
        yield mode


def wrap_tensor_factory(make_tensor: Any) -> Any:
    """Wrap `torch.tensor`, which writes directly to a device, to create the tensor on the CPU and move it."""

    def tensor(value: Any, *, device: Any = None, **kwargs: Any) -> Tensor:
        cpu_tensor: Tensor = make_tensor(value, **kwargs)
        return cpu_tensor if device is None else cpu_tensor.to(device)

    return tensor
