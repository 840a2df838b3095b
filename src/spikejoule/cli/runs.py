"""Commands on a project: publishing its run, holding it to limits, and comparing recorded runs."""

import argparse
import contextlib
from pathlib import Path

from spikejoule.cli.networks import is_nir, publish_graph
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.params import load_params, load_values
from spikejoule.tracking.listing import runs_text
from spikejoule.tracking.project import check_limits
from spikejoule.tracking.recorded import recorded_runs
from spikejoule.tracking.settings import settings_table, settings_text, write_settings
from spikejoule.tracking.store import Store, project_store


def publish(options: argparse.Namespace) -> str:
    """Record the run that the outputs in the workspace stand for, or a graph of NIR."""
    if is_nir(options):
        return publish_graph(options)
    from spikejoule.tracking.publishing import publish_outputs

    root = options.file.resolve()
    paths = artifact_paths(root, "publish")  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        params = load_params(PARAMS_FILE)
        return f"{publish_outputs(paths, params, root)}\n"


def check(options: argparse.Namespace) -> str:
    """What the limits say of the recorded run; LimitError if it is beyond them."""
    return f"{check_limits(options.directory.resolve())}\n"


def store_of(directory: Path) -> Store:
    """The store of a project's runs: no parameter but its experiment need be valid."""
    (experiment,) = load_values(directory / PARAMS_FILE, "publish.experiment")
    return project_store(directory, experiment)


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
