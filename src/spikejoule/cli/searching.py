"""The command `search`: workers that look for a Pareto front of accuracy and energy."""

import argparse
import contextlib
import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from spikejoule.cli.arguments import STORAGE_VARIABLE
from spikejoule.core.errors import ParameterError
from spikejoule.core.store import write_bytes
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.energy import load_profiles, select_profile
from spikejoule.params import Params, load_params
from spikejoule.search.space import (
    SYNAPTIC_EVENTS,
    SearchSettings,
    check_possible,
    load_search,
    search_space,
)
from spikejoule.tracking.project import check_against_lock
from spikejoule.tracking.store import at_root, without_passwords

if TYPE_CHECKING:
    from spikejoule.search.study import Search

_FROM_OPTIONS = ("heartbeat", "retries", "cluster", "threads", "minutes")


def search(options: argparse.Namespace) -> str:
    """Search, and say what the front is and how each of its points is repeated."""
    missing = [name for name in ("optuna", "submitit") if find_spec(name) is None]
    if missing:
        raise ParameterError(
            f"`spikejoule search` needs {' and '.join(missing)}, which a project has after `make "
            "search`, or `pip install 'spikejoule[search]'`."
        )
    # Its messages go to the standard error, which may be a file.
    logger, handler = logging.getLogger("spikejoule"), logging.StreamHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        return _searched(options)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def _searched(options: argparse.Namespace) -> str:
    from spikejoule.search.found import found_table, front_png, front_text, write_table
    from spikejoule.search.launch import run_search
    from spikejoule.search.study import ENDED, FAILED, TRAINED

    root = options.directory.resolve()
    params = load_params(root / PARAMS_FILE)
    search = _plan(options, root, params)
    found = run_search(search)
    trained, failed = len(found[TRAINED]), len(found[FAILED])
    if not trained:
        raise ParameterError(
            "none of the trials was trained to its end "
            f"({found[FAILED][0].user_attrs[ENDED]['reason']}): widen the space."
        )
    table, energy = found_table(found[TRAINED], search, params), search.settings.energy
    if options.table is not None:
        write_table(table, options.table)
    if options.figure is not None:
        write_bytes(options.figure, front_png(table, energy, f"{trained} trials"))
    left_out = f"{failed} trials failed.\n" if failed else ""
    dashboard = f"optuna-dashboard {without_passwords(search.storage)}"
    return f"{front_text(table, energy)}{left_out}\nThe study in a browser:\n  {dashboard}\n"


def _plan(options: argparse.Namespace, root: Path, params: Params) -> "Search":
    """What search.yaml and the options ask for; nothing is begun."""
    from spikejoule.search.study import Search
    from spikejoule.search.trial import ARTIFACTS, digests

    file = options.space or root / "search.yaml"
    settings = load_search(file)
    study, trials = options.study or settings.study, options.trials or settings.trials
    settings = SearchSettings.model_validate(
        settings.model_dump() | {"study": study, "trials": trials}
    )
    space = search_space(settings, params, str(file))
    paths = artifact_paths(root)
    profile = None
    if settings.energy != SYNAPTIC_EVENTS:
        profiles = load_profiles(root / paths["hardware"])
        profile = select_profile(profiles, settings.energy, f"{file}: energy")
    check_possible(space, profile, str(file))
    with contextlib.chdir(root):
        check_against_lock([paths[name] for name in ARTIFACTS], "dvc repro prepare")
    artifacts = {name: root / paths[name] for name in ARTIFACTS}
    storage = options.storage or os.environ.get(STORAGE_VARIABLE) or "sqlite:///search.db"
    return Search(
        storage=at_root(root, storage),
        settings=settings,
        space=space,
        profile=profile,
        data=digests(artifacts),
        paths=artifacts,
        folder=root / ".cache" / "search" / study,
        workers=options.workers or _default_workers(options),
        slurm=dict(options.slurm),
        **{name: getattr(options, name) for name in _FROM_OPTIONS},
    )


def _default_workers(options: argparse.Namespace) -> int:
    if options.cluster == "slurm":
        return 2
    # Not everywhere does the system say which cores a process may use.
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(cores // int(options.threads), 1)
