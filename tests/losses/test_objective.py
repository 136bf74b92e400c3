from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gantry.losses import adversarial, penalties
from gantry.losses.objective import Objective, average_top
from gantry.losses.term import Term
from gantry.schedules import Clock
from updates import penalise


def at(progress: float) -> Clock:
    return Clock(turn=round(100 * progress), kimg=progress, progress=progress)


def make_objective(**changes: Any) -> Objective:
    return Objective(**{"d": adversarial.hinge_d, "g": adversarial.hinge_g} | changes)


def test_default_term_is_due_at_every_update_with_weight_one() -> None:
    term = Term(penalties.r1)
    assert all(term.is_due(update) for update in range(5))
    assert term.compute_scale(at(0.3)) == 1.0


@pytest.mark.parametrize("every", [1, 4, 16])
def test_lazy_term_has_the_same_mean_weight(every: int) -> None:
    term = Term(penalties.r1, weight=5.0, every=every)
    total = sum(term.compute_scale(at(0.0)) for update in range(160) if term.is_due(update))
    assert_close(total / 160, 5.0)
    assert [update for update in range(33) if term.is_due(update)] == list(range(0, 33, every))


def test_weight_may_depend_on_the_progress() -> None:
    term = Term(penalties.r1, weight=lambda clock: 0.5 - 0.4 * clock.progress, every=2)
    assert_close([term.compute_scale(at(progress)) for progress in (0.0, 0.5, 1.0)], [1.0, 0.6, 0.2])


def test_weight_contains_the_one_half_of_r1() -> None:
    """(gamma / 2) |gradient|^2 with gamma = 10 (Mescheder et al. 2018, eq. 9), for the gradient (3, 4)."""
    term = Term(penalties.r1, weight=10 / 2)
    x = torch.rand(2, 2)
    penalty = penalise(term.penalty, lambda x: x @ torch.tensor([3.0, 4.0]), x, x)
    assert_close(term.compute_scale(at(0)) * penalty.mean(), torch.tensor(10 / 2 * 25.0))


def test_turn_has_one_batch_per_update() -> None:
    assert make_objective().batches_per_turn == 1
    assert make_objective(n_critic=5).batches_per_turn == 5
    relativistic = {"d": adversarial.relativistic_d, "g": adversarial.relativistic_g, "relativistic": True}
    assert make_objective(n_critic=2, **relativistic).batches_per_turn == 3


def scalar_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (fake_logits - real_logits).mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_critic": 0}, "loss.n_critic must be at least 1, got 0"),
        ({"weight_clip": 0.0}, "loss.weight_clip must be above 0 or null, got 0.0"),
        ({"d_terms": {"gp": Term(penalties.r1, every=0)}}, "loss.d_terms.gp.every must be at least 1, got 0"),
        (
            {"d_terms": {"gp": Term(penalties.r1, -1.0)}},
            "loss.d_terms.gp.weight must be at least 0, got -1.0",
        ),
        ({"g_terms": {"a": Term(penalties.r1, -1.0)}}, "loss.g_terms.a.weight must be at least 0, got -1.0"),
        ({"d_terms": {"r1": 5}}, "loss.d_terms.r1 must be a Term (penalty, weight, every), got 5"),
        (
            {"g": adversarial.relativistic_g},
            "loss.relativistic must be true for a relativistic loss of G, got false",
        ),
        ({"d": scalar_loss}, "loss.d must return one number for each logit, got [] for [3]"),
        (
            {"g": lambda fake, _: fake[:, None] - fake},
            "loss.g must return one number for each logit, got [3, 3] for [3]",
        ),
    ],
)
def test_wrong_arguments_name_their_key_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^loss") as error:
        make_objective(**changes)
    assert str(error.value) == message


def test_an_error_in_a_loss_is_no_refusal_of_the_configuration() -> None:
    def broken(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        raise ValueError("not enough values to unpack")

    with pytest.raises(RuntimeError, match=r"^loss\.d failed on three logits") as error:
        make_objective(d=broken)
    assert isinstance(error.value.__cause__, ValueError)


def test_losses_may_have_settings_and_terms() -> None:
    smoothed = make_objective(
        d=partial(adversarial.smoothed_d, real_label=0.9),
        d_terms={"r1": Term(penalties.r1, weight=lambda clock: clock.progress), "r2": Term(penalties.r2, 0.0)},
        weight_clip=0.01,
    )
    assert list(smoothed.d_terms) == ["r1", "r2"]


def test_due_terms_count_the_updates_of_each_net() -> None:
    penalty = Term(lambda *_: torch.zeros(1), every=3)
    loss = make_objective(d_terms={"d": penalty}, g_terms={"g": penalty}, n_critic=2)
    due = [loss.due_terms(turn) for turn in range(4)]
    assert [[bool(names) for names in terms.d] for terms in due] == [
        [True, False],  # updates 0 and 1
        [False, True],  # 2 and 3
        [False, False],
        [True, False],  # 6 and 7
    ]
    assert [bool(terms.g) for terms in due] == [True, False, False, True]


def test_g_learns_from_the_fakes_that_d_likes_best() -> None:
    """Four logits: of the losses -D, the mean of the k largest logits by hand, at any fraction that gives this k."""
    logits = torch.tensor([0.3, -1.0, 2.0, 0.5], requires_grad=True)
    for fraction, k_best in ((1.0, [0, 1, 2, 3]), (0.75, [0, 2, 3]), (0.5, [2, 3]), (0.6, [2, 3]), (0.01, [2])):
        mean = average_top(-logits, logits, torch.tensor(fraction))
        assert_close(mean, -logits[k_best].mean())
        (gradient,) = torch.autograd.grad(mean, logits)
        assert gradient.nonzero().flatten().tolist() == k_best
    patches = torch.stack([logits, logits + 4 * torch.tensor([0, 1, 0, 0])], 1)  # the second patch changes the order
    assert_close(average_top(-patches, patches, 0.25), -patches[2].mean())
    assert_close(average_top(-patches, patches, None), -patches.mean())


def test_what_couples_the_batch_takes_no_parts() -> None:
    average = {"d": adversarial.relativistic_average_d, "g": adversarial.relativistic_average_g, "relativistic": True}
    for changes, key in (
        ({"d_terms": {"dragan": Term(penalties.dragan)}}, "loss.d_terms.dragan"),
        ({"top_k": 0.5}, "loss.top_k"),
        (average, "loss.d"),
    ):
        loss = make_objective(**changes)  # type: ignore[arg-type]
        loss.check_parts(1)
        with pytest.raises(ValueError, match=rf"^optim.accumulate must be 1 with {key}, which couples the batch"):
            loss.check_parts(2)
