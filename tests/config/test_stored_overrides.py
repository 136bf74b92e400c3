"""Which overrides a run folder may store."""

from pathlib import Path

import pytest

from gantry.config.stored_overrides import check_stored_overrides


@pytest.mark.parametrize(
    "override",
    [
        "+callbacks.x._target_=os.system",
        "+callbacks.x={_target_:os.system,command:true}",
        "+callbacks.x=[{a:{_target_:os.system}}]",
        "data.name={_target_:os.system}",
        "+logger.x._target_=gantry.evaluation.cache.write_cached_tensors",
        "+logger.x._target_=lightning.pytorch.loggers.CSVLogger",
        "model.sides=os.system",
        "model={sides:os.system}",
        "hydra/launcher=joblib",
        "+hydra/sweeper=search",
        "hydra.launcher._target_=os.system",
        "hydra.searchpath=[file:///tmp]",
        "hydra.run.dir=/tmp/x",
        "hydra.sweep.dir=/tmp/x",
        "tags=[${oc.env:SECRET}]",
        "+x=${oc.decode:1}",
        "seed=${turns}",
        "+callbacks.x=choice({_target_:os.system})",
        "model=mlp,dcgan",
        "model=../../elsewhere/evil",
        "+experiment=/tmp/evil",
        "+loss/term@loss.d_terms.r1=../../../evil",
        "+experiment=[ring,../evil]",
        "callbacks.export.folder=/tmp",
        "callbacks.export.folder=.",
        "+callbacks={x:{folder:../x}}",
        "callbacks.samples.folder='~/x'",
        "logger.csv.folder=elsewhere",
        "logger.mlflow.tracking_uri=https://elsewhere",
        "trainer.default_root_dir=/tmp",
        "+trainer.profiler={_target_:lightning.pytorch.profilers.SimpleProfiler,dirpath:/tmp}",
        "metrics.cache=/tmp",
        "paths.cache=/nonexistent/x",
        "data.source.root=/nonexistent/x",
    ],
)
def test_overrides_that_a_run_may_not_give_are_refused_in_one_line(override: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]* must [^\n]*, got [^\n]*$"):
        check_stored_overrides(["seed=1", override], ["my_models"], tmp_path)


@pytest.mark.parametrize("word", ["--config-dir=/tmp", "-m", "--cfg=job", "-cd", ""])
def test_options_are_no_overrides(word: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"LexerNoViableAlt|token recognition|mismatched|no viable|must be"):
        check_stored_overrides([word], [], tmp_path)


def test_overrides_as_runs_store_them_are_accepted(tmp_path: Path) -> None:
    run = tmp_path / "logs" / "train" / "run"
    run.mkdir(parents=True)
    overrides = [
        *("model=mlp", "experiment=ring", "~callbacks.samples", "+loss.d_terms.r1=5", "seed=1", "tags=[a/b,c]"),
        *("+callbacks.x._target_=torch.nn.Identity", "optim.G._target_=torch.optim.SGD", "+run.notes='a, b'"),
        *("+callbacks.y={_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:loss/D}", "callbacks.report=null"),
        *(f"paths.logs={tmp_path}/logs", f"paths.data={tmp_path}", f"data.source.root={run.parent}", "turns=20"),
        *(f"callbacks.curves.folder={run}/curves", "logger.mlflow.experiment=team/gan", "metrics.weights=/x/y.pt"),
        *("trainer.precision=bf16-mixed", "model.G.hidden=[5,6]", "metrics.cache=null", "+model.sides=null"),
    ]
    check_stored_overrides(overrides, [], run)
