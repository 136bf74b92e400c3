"""The sweep that W&B's server directs: what its agent would start."""

from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from compose_config import compose_config
from gantry.config.compose import CONFIG_DIR

SWEEP: dict[str, Any] = yaml.safe_load((CONFIG_DIR / "wandb_sweep.yaml").read_text())


def some(parameter: dict[str, Any], which: int) -> Any:
    """A value that the server could choose: the first or the last."""
    values = parameter.get("values") or [parameter.get("value", parameter.get("min")), parameter.get("max")]
    return values[0 if which == 0 or values[-1] is None else -1]


def started(which: int) -> list[str]:
    """The command of the agent for some choice of the server's, word by word."""
    chosen = {name: {"value": some(parameter, which)} for name, parameter in SWEEP["parameters"].items()}
    words = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
    filled = {"${env}": ["/usr/bin/env"], "${args_no_hyphens}": words}
    return [word for part in SWEEP["command"] for word in filled.get(part, [part])]


@pytest.mark.parametrize("which", [0, -1])
def test_what_the_agent_starts_is_a_run(which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abcd1234")
    env, python, script, *overrides = started(which)
    assert (env, python, script) == ("/usr/bin/env", "python", "src/train.py")
    cfg = compose_config(*overrides)
    assert cfg.run.name == "abcd1234"
    assert cfg.recipe.lr == SWEEP["parameters"]["recipe.lr"]["min" if which == 0 else "max"]
    assert cfg.logger.wandb.project == "gantry"


def test_the_metric_is_one_that_runs_log_in_its_direction() -> None:
    metrics = compose_config(f"data={SWEEP['parameters']['data']['value']}").metrics
    assert SWEEP["metric"] == {"name": f"best/{metrics.monitor}", "goal": f"{metrics.mode}imize"}
