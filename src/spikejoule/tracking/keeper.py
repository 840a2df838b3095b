"""Who will end a run: one whose keeper has died would else be shown as running for ever."""

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

import psutil

from spikejoule.core.resume import is_running, start_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOST_TAG = "spikejoule.keeper.host"
PROCESS_TAG = "spikejoule.keeper.process"
FAILURE_TAG = "spikejoule.failure"


def keeper_tags() -> dict[str, str]:
    """Tags that name this process as the one that will end the run."""
    process = psutil.Process()
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: f"{process.pid} {start_of(process)}"}


def is_kept(tags: Mapping[str, str]) -> bool:
    """Whether the keeper that a run's tags name is a process of this machine that exists still."""
    keeper = _keeper(tags)
    return keeper is not None and is_running(*keeper)


def is_abandoned(tags: Mapping[str, str]) -> bool:
    """Whether the keeper that a run's tags name was a process of this machine and is gone."""
    keeper = _keeper(tags)
    return keeper is not None and not is_running(*keeper)


def close_abandoned_runs(client: "MlflowClient", experiment_id: str) -> None:
    """Mark as killed the runs that this machine's dead processes have left unfinished."""
    runs = client.search_runs(
        [experiment_id],
        filter_string=(
            f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{socket.gethostname()}'"
        ),
    )
    for run in runs:
        if is_abandoned(run.data.tags):
            client.set_tag(run.info.run_id, FAILURE_TAG, "its processes ended without a word")
            client.set_terminated(run.info.run_id, status="KILLED")


def _keeper(tags: Mapping[str, str]) -> tuple[int, float] | None:
    """Process number and start of a run's keeper; None if it is not of this machine."""
    if tags.get(HOST_TAG) != socket.gethostname():
        return None
    try:
        pid, started = tags.get(PROCESS_TAG, "").split()
        return int(pid), float(started)
    except ValueError:
        return None
