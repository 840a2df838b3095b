"""Recording what a project's outputs stand for, in the workspace or at another revision."""

import contextlib
from pathlib import Path

from spikejoule.core.provenance import provenance_tags
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.params import load_params
from spikejoule.tracking import Publication, StoredFile, project_store, publish
from spikejoule.tracking.project import (
    Revision,
    check_against_lock,
    checked_out,
)
from spikejoule.tracking.run_record import build_run_record, files_of, model_files


def publish_workspace(root: Path) -> Publication:
    """Record the outputs in the workspace of the project at `root`.

    Raises ArtifactError for outputs that are missing, damaged or not those of dvc.lock,
    ParameterError for parameters that are, StoreError if the store cannot be written.
    """
    artifact_paths(root)  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        return _publish(root, provenance_tags(root))


def publish_revision(root: Path, revision: Revision) -> Publication:
    """Record the outputs of another revision, which git and DVC's cache hold; errors as above."""
    with checked_out(root, revision) as folder, contextlib.chdir(folder):
        return _publish(root, revision.tags)


def _publish(root: Path, tags: dict[str, str]) -> Publication:
    """Record the outputs in the working directory."""
    params = load_params(PARAMS_FILE, of_a_result=True)
    paths = artifact_paths(Path())
    code = check_against_lock(files_of(paths), root)
    record = build_run_record(
        paths,
        params,
        tags | code,
        [StoredFile(Path(PARAMS_FILE), "")],
        model_files(paths, params),
    )
    return publish(record, project_store(root, params.publish.experiment))
