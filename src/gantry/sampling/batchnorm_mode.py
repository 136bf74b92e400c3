"""The modes of a generator's BatchNorm in an evaluation. Free of torch: comparisons read their descriptions."""

from enum import StrEnum

STATISTICS_BATCH_SIZE = 64  # samples of a batch whose statistics are used
NUM_STATISTICS_BATCHES = 64  # batches that standing statistics are estimated from
NO_BATCHNORM = "none in G"  # the description of a generator without BatchNorm, whatever the mode


class BatchNormMode(StrEnum):
    """The statistics that BatchNorm normalises by; the values are those of `metrics.batchnorm`."""

    RUNNING = "running"  # the averages over the training, which G holds
    STANDING = "standing"  # averages over fresh batches, after the training (BigGAN, Brock et al. 2019)
    BATCH = "batch"  # those of the batch that a sample is generated in

    def describe(self) -> str:
        """Return the mode as protocols state it."""
        return _DESCRIPTIONS[self]

    @property
    def block_size(self) -> int:
        """The number of samples that must be generated together."""
        return STATISTICS_BATCH_SIZE if self is BatchNormMode.BATCH else 1


_DESCRIPTIONS = {
    BatchNormMode.RUNNING: "running statistics",
    BatchNormMode.STANDING: f"statistics of {NUM_STATISTICS_BATCHES} fresh batches of {STATISTICS_BATCH_SIZE}",
    BatchNormMode.BATCH: f"statistics of batches of {STATISTICS_BATCH_SIZE}",
}
