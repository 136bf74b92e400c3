"""The workspace command: a W&B workspace with scores, settings and samples of the runs of a group."""

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig

from gantry.errors import RunError, format_error, user_errors
from gantry.loggers.wandb_login import is_logged_in

LOSS_METRICS = ["loss/D", "loss/G"]
GRADIENT_METRICS = ["grad/D", "grad/G"]
LOGIT_METRICS = ["critic/train", "critic/held_out", "critic/fake"]
SPEED_METRICS = ["speed/images_per_second"]


@dataclass(frozen=True)
class WorkspaceRequest:
    """The runs of a workspace, and the score that compares them; `compare` names keys of their configurations."""

    entity: str
    project: str
    group: str | None
    score: str
    lower_is_better: bool
    compare: tuple[str, ...]

    @property
    def best_metric(self) -> str:
        """Return the name of the deciding score in the summary."""
        return f"best/{self.score}"


def save_workspace(cfg: DictConfig) -> str:
    """Save the workspace at the W&B server; -> its address."""
    with user_errors():
        request = parse_workspace_config(cfg)
        if importlib.util.find_spec("wandb_workspaces") is None:
            raise ValueError("workspace must not be made without its package (pip install wandb-workspaces), got none")
        if not is_logged_in(os.environ):
            raise ValueError("WANDB_API_KEY must be a key of the W&B server (or use wandb login), got none")
    try:
        return str(build_workspace(request).save().url)
    except Exception as error:  # the network, the server or the package can raise anything
        raise RunError(f"W&B refused the workspace: {type(error).__name__}: {format_error(error)}") from None


def parse_workspace_config(cfg: DictConfig) -> WorkspaceRequest:
    """Return the request of a configuration. Raises ValueError for an invalid one."""
    for key in ("entity", "project", "score"):
        if not isinstance(cfg[key], str) or not cfg[key]:
            raise ValueError(f"{key} must be a name, got {cfg[key]}")
    if cfg.mode not in ("min", "max"):
        raise ValueError(f"mode must be min or max, got {cfg.mode}")
    if not isinstance(cfg.compare, ListConfig) or not cfg.compare:
        raise ValueError(f"compare must be keys of the configuration, [model,loss], got {cfg.compare}")
    group = None if cfg.group is None else str(cfg.group)
    return WorkspaceRequest(cfg.entity, cfg.project, group, cfg.score, cfg.mode == "min", tuple(map(str, cfg.compare)))


def build_workspace(request: WorkspaceRequest) -> Any:
    """Return the workspace without saving it: this needs no server."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.expr import And

    group = ws.Metric("Group")
    runs = ws.RunsetSettings(
        filters=And(group == request.group) if request.group else [],
        order=[ws.Ordering(ws.Summary(request.best_metric), ascending=request.lower_is_better)],
        pinned_columns=[f"summary:{request.best_metric}", *(f"config:{key}" for key in request.compare)],
    )
    sections = [
        ws.Section("Which is best", panels=make_comparison_panels(request), is_open=True),
        ws.Section("Samples", panels=make_sample_panels(), is_open=True),
        ws.Section("Against turn", panels=make_curve_panels(request, "turn"), is_open=True),
        ws.Section("Against kimg", panels=make_curve_panels(request, "kimg")),
    ]
    name = f"{request.group or request.project}: which is best, and why"
    settings = ws.WorkspaceSettings(x_axis="turn", group_by_prefix="first", max_runs=50)
    return ws.Workspace(request.entity, request.project, name, sections, settings, runs)


def make_comparison_panels(request: WorkspaceRequest) -> list[Any]:
    """Return the panels that compare settings with scores."""
    import wandb_workspaces.reports.v2 as wr

    keys = [wr.ParallelCoordinatesPlotColumn(wr.Config(key)) for key in request.compare]
    score = wr.ParallelCoordinatesPlotColumn(
        wr.SummaryMetric(request.best_metric), inverted=request.lower_is_better or None
    )
    return [
        wr.ParallelCoordinatesPlot(columns=[*keys, score], title=request.best_metric),
        wr.BarPlot(metrics=[wr.SummaryMetric(request.best_metric)], title=request.best_metric),
        wr.RunComparer(diff_only=True),
    ]


def make_sample_panels() -> list[Any]:
    """Return the panel of samples of the same latents, with a slider over the turns."""
    import wandb_workspaces.reports.v2 as wr

    return [wr.MediaBrowser(title="the same latents", media_keys=["samples"], num_columns=4)]


def make_curve_panels(request: WorkspaceRequest, axis: str) -> list[Any]:
    """Return line plots against turn or kimg."""
    import wandb_workspaces.reports.v2 as wr

    plots = {request.score: [f"score/{request.score}"], "losses": LOSS_METRICS, "gradient norms": GRADIENT_METRICS}
    plots |= {"logits of D": LOGIT_METRICS, "images per second": SPEED_METRICS}
    return [wr.LinePlot(title=title, x=axis, y=list(names), title_x=axis) for title, names in plots.items()]
