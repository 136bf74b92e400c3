"""Several processes, one experiment."""

from lightning.pytorch.strategies import DDPStrategy
from torch import distributed as dist


class ManualDDPStrategy(DDPStrategy):
    """Equal copies of the nets on every process; `descend` takes the mean of their gradients.

    DistributedDataParallel is left out on purpose. It hooks into one backward pass through one forward pass, which
    is not what a turn is: D runs twice or more a step, penalties differentiate twice, and G's step passes through D
    without wanting its gradients. One explicit message after each backward pass is right for all of these, and not
    slower: with `find_unused_parameters` a turn takes 0.97 to 1.56 times as long (`benchmarks/ddp.py`, two processes).
    """

    def configure_ddp(self) -> None:
        """Start from rank 0's weights."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            plain = tensor.contiguous()  # as messages must be
            dist.broadcast(plain, src=0)
            tensor.copy_(plain)
