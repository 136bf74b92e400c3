"""Hydra's syntax for sweeps, as Optuna understands it, and points as overrides."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gantry.sweeps.search.grid_sampler import GridSampler
from gantry.sweeps.search.space import SearchSpace, parse_search_space

SPACES: dict[str, BaseDistribution] = {
    "interval(1e-5,1e-2)": FloatDistribution(1e-5, 1e-2),
    "interval(1,2)": FloatDistribution(1.0, 2.0),
    "tag(log,interval(1e-5,1e-2))": FloatDistribution(1e-5, 1e-2, log=True),
    "int(interval(1,5))": IntDistribution(1, 5),
    "tag(log,int(interval(1,512)))": IntDistribution(1, 512, log=True),
    "range(1,8,3)": IntDistribution(1, 7, step=3),
    "range(1,7,3)": IntDistribution(1, 4, step=3),
    "range(0,1,0.25)": FloatDistribution(0.0, 0.75, step=0.25),
    "choice(mlp,dcgan)": CategoricalDistribution(["mlp", "dcgan"]),
    "0.5,null,[1,2]": CategoricalDistribution(["0.5", "null", "[1,2]"]),
}


def space(*words: str) -> SearchSpace:
    return parse_search_space(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize("text", SPACES)
def test_a_sweep_is_a_distribution(text: str) -> None:
    result = space(f"optim.D.lr={text}", "data=ring")
    assert result.distributions == {"optim.D.lr": SPACES[text]}
    assert result.expressions == {"optim.D.lr": text}
    assert result.fixed_overrides == ("data=ring",)


def test_a_point_is_overrides_that_hydra_reads_back() -> None:
    result = space("data=ring", "model.G.hidden=[8,8],[16]", "+loss.d_terms.r1=interval(0,1)")
    (point, _) = result.iter_examples()
    assert result.to_overrides(point) == ["data=ring", "model.G.hidden=[8,8]", "+loss.d_terms.r1=0.5"]
    assert OverridesParser.create().parse_override(result.swept_overrides(point)[0]).value() == [8, 8]
    assert [one["model.G.hidden"] for one in result.iter_examples()] == ["[8,8]", "[16]"]


def test_the_later_of_two_of_one_key_counts() -> None:
    assert space("a=1,2", "a=3,4").expressions == {"a": "3,4"}
    assert space("a=1,2", "b=1,2", "a=3").fixed_overrides == ("a=3",)


def test_what_a_score_depends_on() -> None:
    words = ["run.name=S", "launcher=joblib", "trainer=ddp_cpu", "hparams_search=tpe", "callbacks.samples=null"]
    assert space("a=1,2", "seed=3", *words, "+loss.d_terms.r1=1", "data=ring").experiment_overrides == [
        "+loss.d_terms.r1=1",
        "data=ring",
        "seed=3",
    ]


def test_what_cannot_be_searched() -> None:
    with pytest.raises(ValueError, match="hparams_search must have keys to search"):
        space("a=1")
    with pytest.raises(ValueError, match=r"a must be an interval, .* got tag\(log,interval\(0,1\)\): .*low > 0"):
        space("a=tag(log,interval(0,1))")
    with pytest.raises(ValueError, match="a must be an interval"):
        space("a=interval(2,1)")


def test_a_grid_is_the_product_and_ends() -> None:
    result = space("a=x,y", "b=range(1,6,2)", "c=range(0,0.3,0.1)")
    grid = GridSampler(result.distributions)
    assert len(grid) == 2 * 3 * 3
    assert grid.points[:4] == [("x", 1, 0.0), ("x", 1, 0.1), ("x", 1, 0.2), ("x", 3, 0.0)]
    assert GridSampler(space("c=range(0,0.4,0.1)").distributions).points[3] == (0.3,)
    with pytest.raises(ValueError, match=r"a must be a choice or a range in a grid, got interval\(1,2\)"):
        GridSampler(space("a=interval(1,2)").distributions)
