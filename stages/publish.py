"""publish: the run, complete with what every stage gave, in the project's MLflow store.

A stage without outputs, which DVC's run cache therefore never skips: a result that came out of the
cache is published like one that was computed. What keeps a run from being recorded is a warning and
no error; the next `dvc repro` publishes again.
"""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from spikejoule.core.errors import StoreError
from spikejoule.core.provenance import provenance_tags
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.params import Params
from spikejoule.tracking import StoredFile, project_store, publish
from spikejoule.tracking.project import check_against_lock
from spikejoule.tracking.run_record import FILES, build_run_record, model_files
from stages import unrecorded
from stages.shared import journal
from stages.shared.common import run_stage
from stages.shared.root import project_root

logger = logging.getLogger(__name__)

PATHS = FILES


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the run, unless the store holds this very result; refuse what DVC does not record."""
    code = check_against_lock([paths[name] for name in PATHS], project_root())
    record = build_run_record(
        paths,
        params,
        provenance_tags(Path.cwd()) | code,
        [StoredFile(Path(PARAMS_FILE), "")],
        model_files(paths, params),
    )
    pipeline = journal.hand_over()
    root = project_root()
    store = project_store(root, params.publish.experiment)
    is_complete = Path.cwd().resolve() != root or unrecorded.record_experiments(root)
    try:
        publication = publish(record, store, pipeline=pipeline)
    except StoreError as error:
        logger.warning("%s; all other outputs are complete, and %s.", error, _noted(root))
        return
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
    if not publication.is_complete:
        logger.info("its version is missing: %s.", _noted(root))
    elif not is_complete:
        logger.info("experiments are left: %s.", _noted(root, this_run=False))


def _noted(root: Path, this_run: bool = True) -> str:
    """See to it that what was not recorded will be; says in words by what."""
    try:
        if this_run:
            unrecorded.remember(root)
        else:
            unrecorded.publish_again(root)
    except (OSError, ValueError, KeyError) as problem:
        return f"`spikejoule publish` records it, since this could not be noted ({problem})"
    return "the next `dvc repro` records it"


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
