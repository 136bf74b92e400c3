"""A device that is not the CPU, on machines without one.

Its tensors call their device `meta` and hold one of the CPU's, which computes for them. As on a GPU, tensors of the two
do not mix, numbers drawn there come from the generator of the turn, and who needs a number in Python has to fetch it.
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
    """A tensor of the other device; `held` has its numbers."""

    cpu_tensor: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "FakeDeviceTensor":
        facts = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made: FakeDeviceTensor = Tensor._make_wrapper_subclass(cls, held.size(), device=FAKE_DEVICE, **facts)  # type: ignore[attr-defined]
        made.cpu_tensor = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute_on_cpu(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.cpu_tensor.clone().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = FakeDeviceTensor(self.cpu_tensor.clone())
        return torch.nn.Parameter(copied, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copied


class FakeDeviceMode(TorchDispatchMode):
    """While it is on, tensors can be made on the other device and moved there; `crossed` has what waited for it."""

    def __init__(self) -> None:
        super().__init__()
        self.synchronizing_ops: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        distant = [isinstance(tensor, FakeDeviceTensor) for tensor in tensor_leaves(args, kwargs)]
        if not any(distant) and kwargs.get("device") != FAKE_DEVICE:
            return func(*args, **kwargs)
        if is_synchronizing(func, args, kwargs):
            self.synchronizing_ops.append(str(func))
        return compute_on_cpu(func, args, kwargs)


def tensor_leaves(*tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def is_synchronizing(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation fetches numbers, brings some, or has to count those that a mask picks."""
    if func in COPY_OPS:
        to = args[1].device if func is aten.copy_.default else kwargs.get("device") or args[0].device
        return {args[0].device, to} == {CPU_DEVICE, FAKE_DEVICE}
    return func in FETCH_OPS or (
        func in INDEX_OPS and any(index.dtype == torch.bool for index in tensor_leaves(args[1]))
    )


def compute_on_cpu(func: Any, args: Any, kwargs: Any) -> Any:
    """What an operation makes of tensors of the other device, or of none; one number of the CPU may be among them."""
    given = tensor_leaves(args, kwargs)
    if func not in COPY_OPS and any(isinstance(t, FakeDeviceTensor) for t in given):
        mixed = [tuple(t.shape) for t in given if not isinstance(t, FakeDeviceTensor) and t.dim()]
        assert not mixed, f"{func} mixes tensors of two devices; those of shapes {mixed} are on the CPU"
    goes_to = kwargs.get("device") or given[0].device
    args_held, kwargs_held = tree_map(lambda x: x.cpu_tensor if isinstance(x, FakeDeviceTensor) else x, (args, kwargs))
    result = func(*args_held, **kwargs_held | ({"device": CPU_DEVICE} if "device" in kwargs else {}))
    if goes_to == CPU_DEVICE:
        return args[0] if func is aten.copy_.default else result
    if func._schema.name.startswith("aten::_foreach_") and func._schema.name.endswith("_"):
        return None
    made = tree_map(lambda x: FakeDeviceTensor(x) if isinstance(x, Tensor) else x, result)
    return return_and_correct_aliasing(func, args, kwargs, made) if given and given[0].device == FAKE_DEVICE else made


@contextmanager
def use_fake_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDeviceMode]:
    """Until the block ends, Lightning trains on the other device when it is asked for the CPU."""
    start, stream, autocast = SingleDeviceStrategy.__init__, rng._device_generator, torch.autocast
    with monkeypatch.context() as patch, FakeDeviceMode() as machine:
        patch.setattr(SingleDeviceStrategy, "__init__", lambda self, device, **more: start(self, FAKE_DEVICE, **more))
        patch.setattr(CPUAccelerator, "setup_device", lambda self, device: None)
        patch.setattr(rng, "_device_generator", lambda device: stream(CPU_DEVICE if device == FAKE_DEVICE else device))
        patch.setattr(torch, "tensor", wrap_tensor_factory(torch.tensor))
        patch.setattr(torch, "autocast", lambda device, *more, **named: autocast(CPU_DEVICE.type, *more, **named))
        for module in (adam, optimizer, rmsprop):
            for kind in ("fused_kernels", "capturable", "foreach_kernels"):
                patch.setattr(module, f"_get_{kind}_supported_devices", lambda: [FAKE_DEVICE.type], raising=False)
        yield machine


def wrap_tensor_factory(make: Any) -> Any:
    """`torch.tensor` writes straight to the device; here it has to go by way of the CPU."""

    def tensor(value: Any, *, device: Any = None, **more: Any) -> Tensor:
        made: Tensor = make(value, **more)
        return made if device is None else made.to(device)

    return tensor
