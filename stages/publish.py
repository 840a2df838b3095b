"""publish: record the run in the project's MLflow store.

This stage has no outputs, so DVC's run cache never skips it: a result that came out of
the cache is published like one that was computed. If the run cannot be recorded, the
stage fails, nothing else is lost, and the next `dvc repro` runs only this stage.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from spikejoule.params import Params
from spikejoule.tracking.publishing import publish_outputs
from stages.shared.project import pipeline, project_root
from stages.summary import summary_text

EXPERIMENT = "DVC_EXP_NAME"
"""The variable that DVC sets in the stages of an experiment."""

logger = logging.getLogger(__name__)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Record the run, unless the store holds this very result; say what to do next."""
    logger.info("%s", publish_outputs(paths, params, project_root(), pipeline()))
    # After `dvc repro`, make says it.
    if EXPERIMENT in os.environ:
        print(summary_text(Path()))
