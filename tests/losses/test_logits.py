"""Terms on logits and class logits in closed form."""

import pytest
import torch
from torch.testing import assert_close

from gantry.errors import UserError
from gantry.losses.logits import LeCam, centring, classify, classify_fake, classify_real
from gantry.losses.update import Update
from gantry.nets.contract import Judgement
from updates import make_update

REAL, FAKE = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([-1.0, 3.0, 0.0])


def make_logit_update(real: torch.Tensor = REAL, fake: torch.Tensor = FAKE) -> Update:
    x = torch.zeros(3, 2)
    return make_update(lambda x: x.sum(1), x, x, real=Judgement(real), fake=Judgement(fake))


def observe(term: LeCam, real: float, fake: float) -> None:
    term.observe({"logits/real": torch.tensor(real), "logits/fake": torch.tensor(fake)})


def test_lecam_compares_with_the_averages_of_the_other_side() -> None:
    term = LeCam(start=1)
    observe(term, real=0.8, fake=-0.2)
    real, fake = [1.2, -1.8, 0.7], [1.8, -2.2, 0.8]  # D(x) - a_F and a_R - D(G(z))
    expected = [max(0, r) ** 2 + max(0, f) ** 2 for r, f in zip(real, fake)]
    assert_close(term(make_logit_update()), torch.tensor(expected))
    two_sided = LeCam(start=1, one_sided=False)
    observe(two_sided, real=0.8, fake=-0.2)
    assert_close(two_sided(make_logit_update()), torch.tensor([r**2 + f**2 for r, f in zip(real, fake)]))


def test_the_averages_of_lecam_decay_and_begin_at_the_first_logits() -> None:
    term = LeCam(decay=0.9, start=0)
    observe(term, 1.0, -1.0)
    assert (float(term.mean_real), float(term.mean_fake)) == (1.0, -1.0)
    observe(term, 2.0, -3.0)
    assert (float(term.mean_real), float(term.mean_fake)) == pytest.approx((1.1, -1.2))


def test_lecam_begins_after_its_start() -> None:
    term = LeCam(start=2)
    for _ in range(2):
        assert_close(term(make_logit_update()), torch.zeros(3))
        observe(term, 1.0, -1.0)
    assert float(term(make_logit_update()).sum()) > 0


def test_patches_count_as_their_mean() -> None:
    term = LeCam(start=0)
    patches = make_logit_update(torch.stack([REAL - 1, REAL + 1], 1), torch.stack([FAKE - 2, FAKE + 2], 1))
    assert_close(term(patches), term(make_logit_update()))
    assert_close(centring(patches), centring(make_logit_update()))


def test_centring_is_the_squared_sum() -> None:
    assert_close(centring(make_logit_update()), torch.tensor([0.0, 1.0, 0.25]))


def test_classification_is_the_cross_entropy_of_the_class() -> None:
    real = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    fake = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    x, c, c_fake = torch.zeros(2, 2), torch.tensor([0, 2]), torch.tensor([1, 1])
    judgements = {"real": Judgement(real.sum(1), None, real), "fake": Judgement(fake.sum(1), None, fake)}
    update = make_update(lambda x: x.sum(1), x, x, c=c, c_fake=c_fake, **judgements)
    e = torch.e
    expected_real = -torch.tensor([e**2 / (e**2 + 2), 1 / 3]).log()
    expected_fake = -torch.tensor([e / (e + 2), 1 / (e**3 + 2)]).log()
    assert_close(classify_real(update), expected_real)
    assert_close(classify_fake(update), expected_fake)
    assert_close(classify(update), expected_real + expected_fake)


def test_a_critic_without_class_logits_is_refused() -> None:
    with pytest.raises(UserError, match=r"^loss\.d_terms must be without a classification unless D has class logits"):
        classify(make_logit_update())
