"""What experiment trackers get beside mmengine's own: figures per dataset, and MLflow as it is today."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.visualization import MLflowVisBackend

from lsu_seg.openmmlab.registry import HOOKS, VISBACKENDS, register

_NAME = re.compile(r"[^A-Za-z0-9_\-./ ]")
"""What MLflow does not take in a name, such as the `#` of `loss_town#2`: it would refuse all figures of the step."""


@register(VISBACKENDS)
class MLflowBackend(MLflowVisBackend):
    """mmengine's `MLflowVisBackend` for today's MLflow, which keeps runs in a data base and images by their step.

    Runs go to `tracking_uri`, else to the variable MLFLOW_TRACKING_URI, else to `WORK_DIR/mlflow.db` with files beside
    it (`mlflow ui --backend-store-uri sqlite:///WORK_DIR/mlflow.db` shows them). The experiment is `exp_name`, else the
    name of the work folder.

    Args:
        save_dir, exp_name, tracking_uri, artifact_location, kwargs: as for `MLflowVisBackend`.
    """

    def __init__(
        self,
        save_dir: str,
        exp_name: str | None = None,
        tracking_uri: str | None = None,
        artifact_location: str | None = None,
        **kwargs: Any,
    ) -> None:
        work = Path(save_dir).absolute().parents[1]  # WORK_DIR/TIMESTAMP/vis_data
        tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not tracking_uri:
            tracking_uri = f"sqlite:///{work}/mlflow.db"
            artifact_location = artifact_location or (work / "mlflow-files").as_uri()
        super().__init__(
            save_dir,
            exp_name=exp_name or work.name,
            tracking_uri=tracking_uri,
            artifact_location=artifact_location,
            **kwargs,
        )

    def _init_env(self) -> None:
        MMLogger.get_current_instance().addFilter(_no_server)
        super()._init_env()

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        self.experiment.log_image(image, key=_NAME.sub("_", name), step=step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        super().add_scalar(_NAME.sub("_", name), value, step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **kw: Any) -> None:
        super().add_scalars({_NAME.sub("_", name): value for name, value in scalar_dict.items()}, step)


def _no_server(record: logging.LogRecord) -> bool:
    """mmengine asks for a running server whatever the address is, also that of a file."""
    return "mlflow server is running" not in record.getMessage()


@register(HOOKS)
class FiguresHook(Hook):
    """Give the figures of an evaluation to the backends of the visualizer, by the name of the dataset.

    mmengine only writes them into its log. `lsu-seg evaluate` and `unify` add this hook: `town/source/mIoU`, ….
    """

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        name = getattr(runner, "test_name", "") or "test"
        runner.visualizer.add_scalars({f"{name}/{key}": value for key, value in (metrics or {}).items()})
