"""The W&B workspace of a group, as it would be sent to a server, of which there is none here."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from compose_config import compose_config
from gantry.commands.workspace import build_workspace, parse_workspace_config, save_workspace
from gantry.errors import RunError, UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb_workspaces")
needs_package = pytest.mark.skipif(not find_spec("wandb_workspaces"), reason="the extra workspaces is not installed")


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def cfg(*overrides: str) -> Any:
    return compose_config("entity=team", *overrides, config_name="workspace")


def make_workspace_spec(*overrides: str) -> dict[str, Any]:
    """The specification of the workspace."""
    return dict(
        build_workspace(parse_workspace_config(cfg(*overrides)))
        ._to_model()
        .model_dump(by_alias=True, mode="json")["spec"]
    )


def panels(spec: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The configurations of all panels of a kind."""
    sections = spec["section"]["panelBankConfig"]["sections"]
    return [panel["config"] for section in sections for panel in section["panels"] if panel["viewType"] == kind]


@needs_package
def test_it_compares_the_runs_of_the_group() -> None:
    spec = make_workspace_spec("group=S", "score=fid", "compare=[model,optim/G/lr]")
    (runs,) = spec["section"]["runSets"]
    assert '"S"' in json.dumps(runs["filters"])
    assert '"group"' in json.dumps(runs["filters"])
    (columns,) = [config["columns"] for config in panels(spec, "Parallel Coordinates Plot")]
    assert [column["accessor"] for column in columns] == [
        "config:model.value",
        "config:optim/G/lr.value",
        "summary:best/fid",
    ]
    assert panels(spec, "Run Comparer") == [{"diffOnly": True}]
    assert [config["mediaKeys"] for config in panels(spec, "Media Browser")] == [["samples"]]


@needs_package
def test_every_curve_is_plotted_against_turn_and_kimg() -> None:
    plots = panels(make_workspace_spec("score=fid"), "Run History Line Plot")
    axes = {axis: [plot["metrics"] for plot in plots if plot["xAxis"] == axis] for axis in ("turn", "kimg")}
    assert axes["turn"] == axes["kimg"]
    assert {"score/fid", "loss/D", "grad/G"} <= {name for names in axes["turn"] for name in names}


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("entity=null", "entity must be a name, got None"),
        ("entity=team mode=least", "mode must be min or max, got least"),
        ("entity=team compare=[]", r"compare must be keys of the configuration, \[model,loss\], got \[\]"),
    ],
)
def test_mistakes_name_their_key(override: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        save_workspace(compose_config(*override.split(), config_name="workspace"))


@needs_package
def test_without_a_login_it_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^WANDB_API_KEY must be a key of the W&B server"):
        save_workspace(cfg("group=S"))


@needs_package
@pytest.mark.slow  # W&B tries again and again
def test_without_a_server_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(RunError, match=r"^W&B refused the workspace: .+$"):
        save_workspace(cfg("group=S"))


def test_without_its_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install wandb-workspaces"):
        save_workspace(cfg())
