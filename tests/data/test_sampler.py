"""The stream of indices: every image once an epoch, for any number of processes and any start turn."""

import pytest
import torch

from gantry.data.sampler import InfiniteSampler, draw_flips, draw_permutation

CPU = torch.device("cpu")


def make_sampler(n: int = 10, batch_size: int = 4, batches_per_turn: int = 3, **arguments: int) -> InfiniteSampler:
    return InfiniteSampler(n, seed=1, batch_size=batch_size, batches_per_turn=batches_per_turn, flip=True, **arguments)


def concat_indices(sampler: InfiniteSampler, turns: range) -> torch.Tensor:
    return torch.cat([sampler.sample_indices(turn, CPU).flatten() for turn in turns])


@pytest.mark.parametrize(("n", "batch_size", "batches_per_turn"), [(10, 4, 3), (7, 20, 1), (12, 4, 1), (1, 2, 2)])
def test_every_epoch_has_every_image_once(n: int, batch_size: int, batches_per_turn: int) -> None:
    images = concat_indices(make_sampler(n, batch_size, batches_per_turn), range(2 * n))
    for epoch in images[: len(images) // n * n].view(-1, n):
        assert epoch.sort().values.tolist() == list(range(n))


def test_stream_does_not_depend_on_the_turn_length() -> None:
    long = concat_indices(make_sampler(batch_size=6, batches_per_turn=5), range(2))
    short = concat_indices(make_sampler(batch_size=2, batches_per_turn=1), range(30))
    assert torch.equal(long, short)


def test_epochs_and_seeds_differ() -> None:
    first, second = concat_indices(make_sampler(n=50, batch_size=50, batches_per_turn=1), range(2)).view(2, 50)
    other = InfiniteSampler(50, seed=2, batch_size=50, batches_per_turn=1).sample_indices(0, CPU)[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_split_the_batch_of_one_process(world_size: int) -> None:
    single = make_sampler(batch_size=6)
    parts = [make_sampler(batch_size=6, rank=rank, world_size=world_size) for rank in range(world_size)]
    for turn in (0, 1, 7):
        for draw in ("sample_indices", "sample_flips"):
            joined = torch.cat([getattr(part, draw)(turn, CPU) for part in parts], dim=1)
            assert torch.equal(joined, getattr(single, draw)(turn, CPU))


def test_batch_size_must_be_divisible_by_the_processes() -> None:
    with pytest.raises(ValueError, match=r"^data\.batch_size must be a multiple .*\(3\), got 4$"):
        make_sampler(world_size=3)


def test_half_of_the_images_are_mirrored_and_another_half_each_epoch() -> None:
    first, second = draw_flips(10_000, 0, 0, CPU), draw_flips(10_000, 0, 1, CPU)
    for flips in (first, second, first ^ second):
        assert flips.float().mean().item() == pytest.approx(0.5, abs=0.02)  # four standard deviations
    assert InfiniteSampler(5, 0, 1, 1).sample_flips(0, CPU) is None


def test_flips_are_independent_of_the_order() -> None:
    early = draw_permutation(10_000, 0, 0, CPU) < 5_000
    assert draw_flips(10_000, 0, 0, CPU)[early].float().mean().item() == pytest.approx(0.5, abs=0.03)
