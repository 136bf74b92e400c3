"""What a generator and a discriminator must be."""

from typing import Any

Net = Any  # a generator: a module with `shape`, `z_dim` and `num_classes`, which nn.Module takes for tensors
