import pytest
import torch

from gantry import rng
from gantry.distributed import collectives


def draw_on_rank(rank: int, size: int, n: int, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    monkeypatch.setattr(collectives, "rank", lambda: rank)
    monkeypatch.setattr(collectives, "world_size", lambda: size)
    rng.seed_turn(seed=3, turn=7)
    return torch.cat([rng.randn(n // size, 5), rng.rand(n // size, 5)], 1)


def test_ranks_split_the_draws_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draw_on_rank(0, 1, 12, monkeypatch)
    parts = [draw_on_rank(rank, 3, 12, monkeypatch) for rank in range(3)]
    assert torch.equal(torch.cat(parts), expected)
    assert len(expected.unique()) == expected.numel()


def test_draws_depend_on_seed_and_turn_and_repeat() -> None:
    def draw(seed: int, turn: int) -> torch.Tensor:
        rng.seed_turn(seed, turn)
        return rng.randn(4, 2)

    assert torch.equal(draw(0, 1), draw(0, 1))
    assert not torch.equal(draw(0, 1), draw(1, 0))
    assert not torch.equal(draw(0, 1), draw(0, 2))


def test_torchs_global_generator_is_seeded_by_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(rank: int) -> torch.Tensor:
        monkeypatch.setattr(collectives, "rank", lambda: rank)
        rng.seed_turn(0, 0)
        return torch.rand(3)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(0), draw(1))
