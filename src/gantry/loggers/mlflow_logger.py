"""MLflow, an optional dependency: pip install 'gantry[mlflow]'."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from gantry.loggers.dispatch import Pixels, read_logger_id
from gantry.runs.layout import LOGGER_ID_FILE, MLFLOW_FOLDER

HTTP_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}  # by default four minutes


class MlflowLogger(loggers.MLFlowLogger):
    """Lightning's MLFlowLogger with images; the id of its run is stored in `folder`/mlflow for a resumed run.

    Images are stored in `artifacts`, or by the MLflow server. If the server is gone, training waits for it as
    HTTP_LIMITS says (unless the environment sets other limits), and then continues without it.
    """

    def __init__(
        self,
        folder: str,
        experiment: str,
        tracking_uri: str,
        artifacts: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        group: str | None = None,
        job_type: str | None = None,
    ) -> None:
        if importlib.util.find_spec("mlflow") is None:
            raise ValueError("logger must not be mlflow without its package (pip install mlflow), got mlflow")
        for variable, value in HTTP_LIMITS.items():
            os.environ.setdefault(variable, value)
        self._id_file = Path(folder) / MLFLOW_FOLDER / LOGGER_ID_FILE
        tag_values = {"tags": ",".join(tags), "group": group, "job_type": job_type}
        local = artifacts is not None and not tracking_uri.startswith("http")
        super().__init__(
            experiment,
            name,
            tracking_uri,
            tags={k: v for k, v in tag_values.items() if v},
            artifact_location=str(Path(artifacts or "").resolve()) if local else None,
            run_id=read_logger_id(self._id_file),
        )

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any) -> None:
        """Log the parameters that are new: MLflow refuses to change those that a resumed run has logged."""
        known = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({k: v for k, v in dict(params).items() if k not in known})
        self._id_file.parent.mkdir(parents=True, exist_ok=True)
        self._id_file.write_text(str(self.run_id), encoding="utf-8")

    @rank_zero_only
    def log_pixels(self, name: str, pixels: Pixels, turn: int) -> None:
        """Log an image, uint8 [H, W, 1 or 3]."""
        self.experiment.log_image(self.run_id, pixels, key=name, step=turn)

    @rank_zero_only
    def log_generator(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Store the files of a generator and its metadata as artifacts of the run."""
        self.experiment.log_artifacts(self.run_id, str(folder), "generator")
        self.experiment.log_dict(self.run_id, dict(about), "generator/about.json")

    @rank_zero_only
    def log_summary(self, numbers: Mapping[str, float]) -> None:
        """Log the numbers as metrics, since MLflow has no summary."""
        self.log_metrics(dict(numbers))

    @rank_zero_only
    def close(self, success: bool) -> None:
        """End the run, as Lightning does at the end of its fit."""
        self.finalize("success" if success else "failed")
