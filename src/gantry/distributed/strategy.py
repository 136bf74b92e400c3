"""DDP without DistributedDataParallel: its hooks do not fit a GAN turn. Apart from the others as it needs Lightning."""

from lightning.pytorch.strategies import DDPStrategy
from torch import distributed as dist


class ManualDDPStrategy(DDPStrategy):
    """Keep equal copies of the nets on every process; the optimiser step averages their gradients.

    DistributedDataParallel is left out on purpose. It expects one backward pass through one forward pass, but in a
    turn D runs twice or more a step, penalties differentiate twice, and G's step passes through D without needing its
    gradients. One explicit message after each backward pass is correct in all these cases, and not slower:
    with `find_unused_parameters` a turn takes 0.97 to 1.56 times as long (`benchmarks/ddp.py`, two processes).
    """

    def configure_ddp(self) -> None:
        """Copy rank 0's weights and buffers to every process."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            contiguous = tensor.contiguous()  # broadcast requires it
            dist.broadcast(contiguous, src=0)
            tensor.copy_(contiguous)
