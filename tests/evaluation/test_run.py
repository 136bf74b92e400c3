import pytest
import torch

from gantry.evaluation.generator_samples import SampleSource
from gantry.evaluation.protocol import SampleFacts
from gantry.evaluation.run import Entry, score_samples, warn_of_other_shape
from toy_extractor import make_reference, make_toy_evaluation, random_images, slice_source

CPU = torch.device("cpu")
REFERENCE = make_reference(random_images(31, seed=0))


def score_toy_images(facts: SampleFacts) -> Entry:
    """Score 20 images of the toy."""
    evaluation = make_toy_evaluation(num_samples=20)
    source = SampleSource(slice_source(random_images(20, seed=1)), None, facts)
    return score_samples(source, evaluation, REFERENCE, evaluation.extract_real(REFERENCE, CPU), CPU)


def test_an_entry_has_the_scores_of_the_samples_and_their_protocol() -> None:
    facts = SampleFacts((3, 4, 4), "last", "G_ema", "running statistics", turn=7, kimg=0.5)
    entry = score_toy_images(facts)
    evaluation = make_toy_evaluation(num_samples=20)
    fake = evaluation.extract_samples(slice_source(random_images(20, seed=1)), CPU)
    assert entry.scores == evaluation.compute_scores(evaluation.extract_real(REFERENCE, CPU), fake)
    assert entry.protocol == evaluation.build_protocol(REFERENCE, facts)
    assert entry.features.features is not None
    assert fake.features is not None
    assert torch.equal(entry.features.features, fake.features)


def test_the_stored_entry_has_turn_and_kimg_if_they_are_known() -> None:
    trained = score_toy_images(SampleFacts((3, 4, 4), "last", turn=7, kimg=0.5))
    assert list(trained.to_dict()) == ["turn", "kimg", "scores", "protocol"]
    assert (trained.to_dict()["turn"], trained.to_dict()["kimg"]) == (7, 0.5)
    assert trained.to_dict()["protocol"] == trained.protocol.to_dict()
    assert list(score_toy_images(SampleFacts((3, 4, 4), "files")).to_dict()) == ["scores", "protocol"]


def test_another_checkpoint_rule_changes_nothing_else() -> None:
    last = score_toy_images(SampleFacts((3, 4, 4), "last", turn=7, kimg=0.5)).to_dict()
    best = score_toy_images(SampleFacts((3, 4, 4), "last", turn=7, kimg=0.5)).with_checkpoint_rule("best fd").to_dict()
    assert best["protocol"] == last["protocol"] | {"checkpoint": "best fd"}
    assert best | {"protocol": None} == last | {"protocol": None}


def test_samples_of_another_size_or_number_of_channels_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_other_shape((3, 4, 4), REFERENCE)
    assert caplog.messages == []
    for shape, text in (((3, 8, 8), "3x8x8"), ((1, 4, 4), "1x4x4")):
        caplog.clear()
        warn_of_other_shape(shape, REFERENCE)
        (message,) = caplog.messages
        assert message.startswith(f"samples are {text} and real images (noise) 3x4x4: scores also measure")
