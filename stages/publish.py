"""publish: the run, complete with what every stage gave, in the project's MLflow store.

A stage without outputs, which DVC's run cache therefore never skips: a result that came out of the
cache is published like one that was computed.
"""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from spikejoule.params import Params
from spikejoule.project import check_against_lock
from spikejoule.provenance import provenance_tags
from spikejoule.run_record import FILES, build_run_record
from spikejoule.tracking import Artifact, ModelFiles, project_store, try_to_publish
from stages import journal
from stages.common import PARAMS_FILE, project_root, run_stage

logger = logging.getLogger(__name__)

PATHS = FILES


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the run, unless the store holds this very result; refuse what DVC does not record."""
    code = check_against_lock([paths[name] for name in PATHS], project_root())
    record = build_run_record(
        paths,
        params.flattened(),
        provenance_tags(Path.cwd()) | code,
        [Artifact(PARAMS_FILE, "")],
        ModelFiles(paths["checkpoint"], paths["hardware"], params.energy_report.profile),
    )
    pipeline = journal.hand_over()
    store = project_store(project_root(), params.publish.experiment)
    publication = try_to_publish(record, store, pipeline=pipeline)
    if publication is not None:
        logger.info(
            "MLflow run %s %s",
            publication.run_id,
            "added" if publication.added else "holds this result already; nothing added",
        )
        registration = publication.registration
        if registration is not None and registration.added:
            logger.info(
                "model version %d added%s",
                registration.version,
                ", the new champion" if registration.is_champion else "",
            )


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
