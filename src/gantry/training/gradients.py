"""What backpropagation leaves at the nets."""

from torch import Tensor, nn


def gradient_norms(nets: dict[str, nn.Module]) -> dict[str, Tensor]:
    """L2 norm of the gradient by which each net descended last, clipped if it was: name -> [], on the device.

    A net without gradients (before the first turn, or when its update was left out) is not in it.
    """
    gradients = {name: [p.grad for p in net.parameters() if p.grad is not None] for name, net in nets.items()}
    return {name: nn.utils.get_total_norm(found).detach() for name, found in gradients.items() if found}
