"""Commands on a project: publish or check its run, average its runs, serve a model."""

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.params import load_params
from spikejoule.tracking.limits import check_limits
from spikejoule.tracking.recorded import recorded_runs
from spikejoule.tracking.settings import settings_table, settings_text, write_settings
from spikejoule.tracking.store import store_of


def publish(options: argparse.Namespace) -> str:
    """Record the outputs in the workspace as a run."""
    from spikejoule.tracking.publishing import publish_outputs

    root = options.directory.resolve()
    # Before the change of directory: an error names the full path of the folder.
    paths = artifact_paths(root, "publish")
    with contextlib.chdir(root):
        params = load_params(PARAMS_FILE)
        return f"{publish_outputs(paths, params, root)}\n"


def check(options: argparse.Namespace) -> str:
    """Compare the recorded run with its limits; LimitError if it breaks them."""
    return f"{check_limits(options.directory.resolve())}\n"


def seeds(options: argparse.Namespace) -> str:
    """Average the runs that differ only in their seed, and mark the Pareto front."""
    recorded = recorded_runs(store_of(options.directory))
    table = settings_table(recorded, options.data)
    if options.table is not None:
        write_settings(options.table, table.rows)
    return settings_text(table)


def serve(options: argparse.Namespace) -> NoReturn:
    """Become the server of a version, which must load its own copy of this package."""
    from spikejoule.tracking.registry import version_folder
    from spikejoule.tracking.served_folder import SERVER

    folder = version_folder(store_of(Path()), options.model)
    os.execv(
        sys.executable,
        [sys.executable, "-P", str(SERVER), folder, str(options.port)],
    )
