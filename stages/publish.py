"""publish: the run, complete with what every stage gave, in the project's MLflow store.

A stage without outputs, which DVC's run cache therefore never skips: a result that came
out of the cache is published like one that was computed. What keeps a run from being
recorded is an error; all else is kept, and the next `dvc repro` runs this stage alone.
"""

import json
import logging
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from spikejoule.core.provenance import git
from spikejoule.core.store import read_json
from spikejoule.params import Params
from spikejoule.tracking.publishing import publish_outputs
from stages.shared.project import pipeline, project_root

logger = logging.getLogger(__name__)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the run, unless the store holds this very result; refuse what DVC does not
    record.
    """
    logger.info("%s", publish_outputs(paths, params, project_root(), pipeline()))
    if note := other_data_of_commit(paths["data_metrics"]):
        logger.info("%s", note)


def other_data_of_commit(description: Path) -> str:
    """A note if the results of the commit, with which DVC compares, are of other data;
    else "".

    `description` of the data is a path in the working directory and in the commit.
    """
    ours = read_json(description)
    with suppress(OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        theirs = json.loads(git(Path(), "show", f"HEAD:./{description.as_posix()}"))
        if theirs["sha256"] != ours["sha256"]:
            return (
                f"note: this run is of {ours['title']}; the committed results are "
                "of other files, "
                f"{theirs['title']}. `dvc metrics diff` and `make plots "
                'PLOTS="diff HEAD"` compare '
                "the two. Commit these results (git commit -a), and what follows "
                "is compared with "
                "them."
            )
    return ""
