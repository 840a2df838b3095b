"""publish: record the run in the project's MLflow store.

This stage has no outputs, so DVC's run cache never skips it: a result that came out of
the cache is published like one that was computed. If the run cannot be recorded, the
stage fails, nothing else is lost, and the next `dvc repro` runs only this stage.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from spikejoule.params import Params
from spikejoule.tracking.publishing import publish_outputs
from stages.shared.project import pipeline, project_root

logger = logging.getLogger(__name__)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Record the run, unless the store holds this very result."""
    logger.info("%s", publish_outputs(paths, params, project_root(), pipeline()))
