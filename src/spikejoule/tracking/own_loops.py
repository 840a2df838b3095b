"""Logging a training that ran in the user's own loop: to the user's own MLflow run."""

from collections.abc import Mapping, Sequence

from spikejoule.tracking.failures import store_errors
from spikejoule.tracking.runs import CURVES


def log_training(
    metrics: Mapping[str, float],
    curves: Sequence[Mapping[str, float]],
    tags: Mapping[str, str],
    page: str,
) -> None:
    """Log a training to the active run, or to a new one, which then ends.

    Args:
        metrics: of the whole training.
        curves: metrics of each epoch, first to last; steps count from 1.
        tags: of the run.
        page: HTML, logged as ``training.html``.

    Raises:
        StoreError: the store fails.
    """
    import mlflow

    with store_errors("the training was not logged to MLflow"):
        active = mlflow.active_run()
        if active is None:
            mlflow.start_run()
        try:
            mlflow.set_tags(dict(tags))
            mlflow.log_metrics(dict(metrics))
            for epoch, row in enumerate(curves, start=1):
                by_name = {f"{CURVES}{name}": value for name, value in row.items()}
                mlflow.log_metrics(by_name, step=epoch)
            mlflow.log_text(page, "training.html")
        finally:
            if active is None:
                mlflow.end_run()
