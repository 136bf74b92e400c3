import dataclasses

import pytest
import torch
from torch import Tensor

from gantry.metrics.memorisation import Memorisation, fraction_nearer, fraction_of_copies
from gantry.metrics.statistics import FeatureSet
from gaussians import accumulate_features, seeded_randn

DIM = 6
TRAINING, HELD_OUT = seeded_randn(1500, DIM, seed=0).float(), seeded_randn(1000, DIM, seed=1).float()


def scores(samples: Tensor, training: Tensor = TRAINING, held_out: Tensor = HELD_OUT) -> tuple[float, ...]:
    real = FeatureSet(accumulate_features(training), features=training, held_out_features=held_out)
    return Memorisation()(real, FeatureSet(accumulate_features(samples), features=samples))


def test_copies_of_training_images_are_all_nearer_and_all_copies() -> None:
    assert scores(TRAINING[200:500]) == (1, 1)
    noise = 1e-3 * seeded_randn(300, DIM, seed=2).float()
    assert scores(TRAINING[200:500] + noise) == pytest.approx((1, 1), abs=1e-3)


def test_fresh_draws_are_like_held_out_images() -> None:
    nearer, copies = scores(seeded_randn(2000, DIM, seed=3).float())
    assert nearer == pytest.approx(0.5, abs=0.04)  # three deviations of U are 3 (1 / 12 (1 / M + 1 / N))^(1/2)
    assert copies == pytest.approx(0.01, abs=0.01)
    assert copies > 0


def test_far_samples_are_neither() -> None:
    assert scores(seeded_randn(300, DIM, seed=4).float() + 50) == (0, 0)


def test_a_generator_that_copies_a_tenth() -> None:
    samples = torch.cat([TRAINING[:100], seeded_randn(900, DIM, seed=5).float() + 50])
    assert scores(samples) == pytest.approx((0.1, 0.1))


def test_a_held_out_set_equal_to_the_training_set_shows_no_copies() -> None:
    assert scores(TRAINING[:300], held_out=TRAINING[300:600]) == (0.5, 0)


def test_nearer_counts_pairs_and_ties_one_half() -> None:
    samples, held_out = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([3.0, 2.0])
    assert fraction_nearer(samples, held_out) == pytest.approx((2 + 1.5 + 0) / 6)
    assert fraction_nearer(held_out, samples) == pytest.approx(1 - (2 + 1.5 + 0) / 6)


def test_copies_are_below_the_quantile_of_the_held_out() -> None:
    held_out = torch.arange(1.0, 20)  # 19 of them: with a sample, a tenth is two
    samples = torch.tensor([0.5, 1.0, 1.5, 2.0, 2.5])
    assert fraction_of_copies(samples, held_out, 0.1) == 3 / 5  # nearer than all but one; 2 ties with the second
    assert fraction_of_copies(samples, held_out, 0.05) == 1 / 5


def test_chance_gives_the_quantile() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(4000, 119, generator=generator)
    shares = [fraction_of_copies(row[:20], row[20:], 0.05) for row in draws]
    assert sum(shares) / len(shares) == pytest.approx(0.05, abs=0.003)


def test_names_follow_the_extractor() -> None:
    assert Memorisation().metric_names("inception") == ("nearer", "copies")
    assert Memorisation().metric_names("digits") == ("nearer_digits", "copies_digits")


def test_a_quantile_that_no_sample_could_be_below_is_refused() -> None:
    scores(TRAINING[:5], held_out=HELD_OUT[:99])
    with pytest.raises(ValueError, match=r"quantile of memorisation must be at least 1 / 99, .* got 0\.01"):
        scores(TRAINING[:5], held_out=HELD_OUT[:98])


def test_a_copy_of_a_mirrored_training_image_counts_if_training_mirrors_images() -> None:
    mirrored = seeded_randn(1500, DIM, seed=6).float()
    fake = FeatureSet(accumulate_features(mirrored), features=mirrored[:300] + 1e-5)
    real = FeatureSet(accumulate_features(TRAINING), features=TRAINING, held_out_features=HELD_OUT)
    assert Memorisation()(real, fake) == pytest.approx((0.5, 0.01), abs=0.05)
    assert Memorisation()(dataclasses.replace(real, flipped_features=mirrored), fake) == pytest.approx((1, 1), abs=1e-3)
