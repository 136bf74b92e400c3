"""How much memory this process has needed."""

import sys

import torch

KIB, GIB = 1024, 1024**3
UNIT = 1 if sys.platform == "darwin" else KIB  # bytes in which the system counts


def peak_memory(device: torch.device | str) -> dict[str, float]:
    """The most so far, in GiB: `memory/process_gib` in the machine's memory, on a GPU `memory/gpu_gib` of tensors."""
    peak = {}
    if sys.platform != "win32":  # which has no such count
        import resource

        peak["memory/process_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / GIB
    if torch.device(device).type == "cuda":
        peak["memory/gpu_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    return peak
