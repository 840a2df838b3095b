"""Commands on a project: publishing its run, holding it to limits, and comparing
recorded runs.
"""

import argparse
import contextlib
import re
from dataclasses import asdict
from pathlib import Path

from spikejoule.cli.given import given_conventions, is_nir
from spikejoule.core.errors import ParameterError
from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.energy import load_profiles
from spikejoule.energy.prices import PACKAGED
from spikejoule.nir.conventions import conventions_of
from spikejoule.nir.reading import read_nir
from spikejoule.params import load_params
from spikejoule.tracking.listing import runs_text
from spikejoule.tracking.project import check_limits
from spikejoule.tracking.recorded import recorded_runs
from spikejoule.tracking.settings import settings_table, settings_text, write_settings
from spikejoule.tracking.store import Store, project_store


def publish(options: argparse.Namespace) -> str:
    """Record the run that the outputs in the workspace stand for, or a graph of NIR."""
    if is_nir(options):
        return _publish_graph(options)
    from spikejoule.tracking.publishing import publish_outputs

    root = options.file.resolve()
    paths = artifact_paths(
        root, "publish"
    )  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        params = load_params(PARAMS_FILE)
        return f"{publish_outputs(paths, params, root)}\n"


def _publish_graph(options: argparse.Namespace) -> str:
    """Record how a graph is run, and a version of the model that bears its file's name,
    in the store of the working directory."""
    from spikejoule.tracking.publishing import RunRecord, publish
    from spikejoule.tracking.registry import MODEL_NAME, ModelFiles

    path = options.file
    conventions = conventions_of(read_nir(path), given_conventions(options))
    if not re.fullmatch(r"[\w.-]+", path.stem, re.ASCII) or path.stem == MODEL_NAME:
        raise ParameterError(
            f"the model would be called {path.stem!r}; allowed are letters, "
            "digits, '.', '_' and "
            f"'-', and not {MODEL_NAME}, which are checkpoints: rename the file."
        )
    digest = {"graph.sha256": file_digest(path, "sha256")}
    parameters = asdict(conventions)
    profile = next(iter(load_profiles(PACKAGED)))
    model = ModelFiles(path, PACKAGED, profile, conventions=conventions, name=path.stem)
    tags = {**provenance_tags(Path.cwd()), **digest, "mlflow.runName": path.stem}
    result_id = content_digest({**digest, **parameters})
    record = RunRecord(result_id, parameters, tags=tags, model=model)
    return f"{publish(record, project_store(Path.cwd(), 'graphs'))}\n"


def check(options: argparse.Namespace) -> str:
    """What the limits say of the recorded run; LimitError if it is beyond them."""
    return f"{check_limits(options.directory.resolve())}\n"


def store_of(directory: Path) -> Store:
    """The store of a project's runs."""
    params = load_params(directory / PARAMS_FILE)
    return project_store(directory, params.publish.experiment)


def runs(options: argparse.Namespace) -> str:
    """The recorded runs, whatever came of them."""
    recorded = recorded_runs(store_of(options.directory), condition="")
    return runs_text(recorded, options.limit)


def seeds(options: argparse.Namespace) -> str:
    """Means of the runs that differ in their seed alone, and their Pareto front."""
    recorded = recorded_runs(store_of(options.directory))
    table, left_out = settings_table(recorded, options.data)
    if options.table is not None:
        write_settings(options.table, table)
    return settings_text(table, left_out)
