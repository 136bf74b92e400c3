import json
from dataclasses import fields

import pytest
import torch

from gantry.evaluation.evaluation import Evaluation
from gantry.evaluation.protocol import EvaluationProtocol, SampleFacts, find_protocol_differences, format_protocol_value
from gantry.evaluation.reference import Reference
from gantry.metrics.mode_coverage import MixtureModeCoverage
from gantry.metrics.score import make_metric_name
from toy_extractor import make_reference, make_toy_evaluation, random_images


def test_only_inception_has_the_published_names() -> None:
    assert [make_metric_name(kind, "inception") for kind in ("fd", "cs", "cs_std", "kd")] == [
        "fid",
        "is",
        "is_std",
        "kid",
    ]
    assert [make_metric_name(kind, "digits") for kind in ("fd", "cs_std")] == ["fd_digits", "cs_digits_std"]
    assert make_metric_name("fd", "inception-0a1b2c3d") == "fd_inception-0a1b2c3d"


def test_a_protocol_has_every_fact_as_a_plain_value() -> None:
    real = make_reference(random_images(30, seed=0))
    protocol = make_toy_evaluation(num_samples=20, seed=7).build_protocol(
        real, SampleFacts((3, 4, 4), "last", "G_ema", "running")
    )
    plain = json.loads(json.dumps(protocol.to_dict()))
    assert plain == protocol.to_dict()
    assert plain["extractor"] == "toy"
    assert plain["extractor_digest"] == "0123"
    assert plain["real"] == "noise"
    assert plain["real_count"] == 30
    assert plain["num_samples"] == 20
    assert plain["seed"] == 7
    assert plain["shape"] == [3, 4, 4]
    assert plain["scores"]["kd"] == {"subsets": 4, "subset_size": 8, "seed": 2020}
    assert plain["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_files_have_no_seed() -> None:
    protocol = make_toy_evaluation().build_protocol(
        make_reference(random_images(30, seed=0)), SampleFacts((3, 4, 4), "samples.npz")
    )
    assert protocol.seed is None


def test_differences_are_named() -> None:
    a = (
        make_toy_evaluation(num_samples=20)
        .build_protocol(make_reference(random_images(30, seed=0)), SampleFacts((3, 4, 4), "last"))
        .to_dict()
    )
    b = a | {"num_samples": 50, "real_split": "test", "note": "new"}
    assert find_protocol_differences(a, a) == []
    assert find_protocol_differences(a, b) == [
        "real_split: train and test",
        "num_samples: 20 and 50",
        "note: None and new",
    ]


def test_only_scores_of_both_protocols_are_compared() -> None:
    about = SampleFacts((3, 4, 4), "last")
    with_kd = make_toy_evaluation().build_protocol(make_reference(random_images(30, seed=0)), about).to_dict()
    without = (
        make_toy_evaluation(kernel=False).build_protocol(make_reference(random_images(30, seed=0)), about).to_dict()
    )
    assert find_protocol_differences(with_kd, without) == []
    other = json.loads(json.dumps(with_kd))
    other["scores"]["kd"]["subset_size"] = 9
    (output,) = find_protocol_differences(with_kd, other)
    assert output.startswith("scores.kd: ")


def test_tuples_and_lists_are_no_difference() -> None:
    modes = MixtureModeCoverage(centres=((0.0, 1.0),), sigma=1.0)
    evaluation = Evaluation({"modes": modes}, 4, None, "min")
    points = Reference("two", "train", "abc", 2, (2,), lambda start, stop: torch.zeros(stop - start, 2))
    protocol = evaluation.build_protocol(points, SampleFacts((2,), "last")).to_dict()
    assert json.loads(json.dumps(protocol)) == protocol
    assert find_protocol_differences(protocol, json.loads(json.dumps(protocol))) == []


def test_digests_are_shortened_in_texts() -> None:
    assert format_protocol_value({"a": "0" * 64, "b": None, "c": {}, "d": [1, 2]}) == "a 000000000000, b -, c, d [1, 2]"


@pytest.mark.parametrize("fact", [field.name for field in fields(EvaluationProtocol)])
def test_each_fact_of_the_protocol_is_compared(fact: str) -> None:
    about = SampleFacts((3, 4, 4), "last", "G_ema", "running")
    protocol = make_toy_evaluation().build_protocol(make_reference(random_images(30, seed=0)), about).to_dict()
    other = {name: {"splits": "other"} for name in protocol["scores"]} if fact == "scores" else "other"
    differences = find_protocol_differences(protocol, protocol | {fact: other})
    expected = [f"scores.{name}" for name in sorted(protocol["scores"])] if fact == "scores" else [fact]
    assert [line.partition(": ")[0] for line in differences] == expected


def test_older_protocols_without_the_arithmetic_mean_float32() -> None:
    about = SampleFacts((3, 4, 4), "last")
    protocol = make_toy_evaluation().build_protocol(make_reference(random_images(30, seed=0)), about).to_dict()
    older = {name: value for name, value in protocol.items() if name != "arithmetic"}
    assert find_protocol_differences(older, protocol) == []
    assert find_protocol_differences(older, protocol | {"arithmetic": "bf16"}) == ["arithmetic: float32 and bf16"]


def test_settings_of_another_score_do_not_count_for_one_score() -> None:
    old, new = ({"scores": {"frechet": {}, "inception_score": {"splits": rule}}} for rule in ("a", "b"))
    assert find_protocol_differences(old, new, "frechet") == []
    assert len(find_protocol_differences(old, new, "inception_score")) == len(find_protocol_differences(old, new)) == 1
