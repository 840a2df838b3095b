"""The command `search`: workers that look for a Pareto front of accuracy and energy."""

import argparse
import contextlib
import json
import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from spikejoule.cli.arguments import add_command, add_project_directory, positive

if TYPE_CHECKING:
    from spikejoule.params import Params
    from spikejoule.search.space import SearchSettings
    from spikejoule.search.study import Search

_STORAGE = "sqlite:///search.db"
_STORAGE_VARIABLE = "SPIKEJOULE_SEARCH_STORAGE"
_OPTIONS: tuple[tuple[str, Any, str, Any, str], ...] = (
    ("--space", Path, "FILE", None, "what is searched (default: search.yaml of the project)"),
    ("--study", str, "NAME", None, "in place of the file's `study`"),
    ("--trials", positive, "N", None, "in place of the file's `trials`"),
    (
        *("--storage", str, "URL", None),
        "the study's database, sqlite:///FILE or postgresql://USER@HOST/DATABASE (default: "
        f"${_STORAGE_VARIABLE}, or search.db in the project)",
    ),
    (
        *("--workers", positive, "N", None),
        "trainings at once (default: as many as the process may use cores; in Slurm 2)",
    ),
    ("--threads", positive, "N", 1, "cores of a worker (default: 1)"),
    ("--partition", str, "NAME", None, "of Slurm (default: its own default)"),
    (
        *("--minutes", positive, "N", 60),
        "that a job of Slurm may take before it is queued again (default: 60)",
    ),
    (
        *("--heartbeat", positive, "SECONDS", 10),
        "how often a worker reports that it lives; after four times that other machines take it "
        "for dead (default: 10)",
    ),
    (
        *("--retries", positive, "N", 5),
        "how often a trial is run again whose worker was killed (default: 5)",
    ),
    ("--figure", Path, "FILE", None, "write the front (PNG)"),
    ("--table", Path, "FILE", None, "write every trial (CSV)"),
)


def add_search_command(commands: Any) -> None:
    """Add `search` to the parser's commands."""
    search = add_command(
        commands, "search", "search parameters for a front of validation accuracy and energy"
    )
    add_project_directory(search)
    for name, kind, metavar, default, words in _OPTIONS:
        search.add_argument(name, type=kind, metavar=metavar, default=default, help=words)
    search.add_argument(
        "--cluster",
        choices=("local", "slurm"),
        default="local",
        help="where workers run (default: local)",
    )
    search.add_argument(
        "--slurm",
        action="append",
        type=_slurm_option,
        default=[],
        metavar="OPTION=VALUE",
        help="a further option of sbatch, as account=biology (repeatable)",
    )
    search.set_defaults(command=_search)


def _slurm_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is no OPTION=VALUE, as account=biology")
    return name.lstrip("-").replace("-", "_"), value


def _search(options: argparse.Namespace) -> str:
    from spikejoule.core.errors import ParameterError

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
    from spikejoule.core.errors import ParameterError
    from spikejoule.core.provenance import provenance_tags
    from spikejoule.core.store import write_bytes
    from spikejoule.core.yaml_files import PARAMS_FILE
    from spikejoule.params import load_params
    from spikejoule.search.found import found_rows, front_png, front_text, write_table
    from spikejoule.search.launch import run_search
    from spikejoule.search.space import load_search
    from spikejoule.search.study import FAILED, STOPPED, TRAINED
    from spikejoule.tracking.store import without_passwords

    root = options.directory.resolve()
    params = load_params(root / PARAMS_FILE)
    file = options.space or root / "search.yaml"
    settings = load_search(file)
    changes = {"study": options.study, "trials": options.trials}
    settings = type(settings).model_validate(
        settings.model_dump() | {name: value for name, value in changes.items() if value}
    )
    search = _plan(options, root, params, settings, str(file))
    found = run_search(search, provenance_tags(root))
    trained, failed = len(found[TRAINED]), len(found[FAILED])
    if not trained:
        raise ParameterError(
            "none of the trials was trained to its end: see their reasons in MLflow, and widen the "
            "space."
        )
    rows = found_rows(found[TRAINED], search, settings.fixed, params)
    if options.table is not None:
        write_table(rows, search.space.entries, options.table)
    if options.figure is not None:
        counts = f"{trained} trials trained, {len(found[STOPPED])} stopped early"
        write_bytes(options.figure, front_png(rows, settings.energy, counts))
    dashboard = f"optuna-dashboard {without_passwords(search.storage)}"
    left_out = f"{failed} trials failed.\n" if failed else ""
    front = front_text(rows, settings.energy)
    return f"{front}{left_out}\nThe study in a browser:\n  {dashboard}\n"


def _plan(
    options: argparse.Namespace,
    root: Path,
    params: "Params",
    settings: "SearchSettings",
    file: str,
) -> "Search":
    from spikejoule.core.yaml_files import artifact_paths
    from spikejoule.energy import load_profiles, select_profile
    from spikejoule.search.space import SYNAPTIC_EVENTS, search_space
    from spikejoule.search.study import Search, check_possible, check_storage
    from spikejoule.search.trial import ARTIFACTS, digests
    from spikejoule.tracking import project_store
    from spikejoule.tracking.project import check_against_lock
    from spikejoule.tracking.search_runs import SearchRun
    from spikejoule.tracking.store import at_root

    space = search_space(settings, params, file)
    paths = artifact_paths(root)
    price_list = root / paths["hardware"]
    profile = None
    if settings.energy != SYNAPTIC_EVENTS:
        profile = select_profile(load_profiles(price_list), settings.energy, f"{file}: energy")
    check_possible(space, profile, file)
    storage = at_root(root, options.storage or os.environ.get(_STORAGE_VARIABLE) or _STORAGE)
    check_storage(storage)
    with contextlib.chdir(root):
        check_against_lock([paths[name] for name in ARTIFACTS], root, "dvc repro prepare")
    artifacts = {name: root / paths[name] for name in ARTIFACTS}
    specification = {
        "base": space.base,
        "space": space.entries,
        "energy": settings.energy,
        "prices": {} if profile is None else {of: str(one) for of, one in profile.prices.items()},
        "stop": settings.stop.model_dump(),
        "data": digests(artifacts),
    }
    return Search(
        storage=storage,
        study=settings.study,
        trials=settings.trials,
        heartbeat_seconds=options.heartbeat,
        retries=options.retries,
        specification=json.loads(json.dumps(specification)),
        paths=artifacts,
        price_list=price_list,
        folder=root / ".cache" / "search" / settings.study,
        run=SearchRun(project_store(root, f"{params.publish.experiment}-search"), settings.study),
        cluster=options.cluster,
        workers=options.workers or _default_workers(options),
        threads=options.threads,
        minutes=options.minutes,
        partition=options.partition,
        options=dict(options.slurm),
    )


def _default_workers(options: argparse.Namespace) -> int:
    if options.cluster == "slurm":
        return 2
    process = psutil.Process()
    # Not everywhere does the system say which cores a process may use.
    cores = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count()
    return max((cores or 1) // int(options.threads), 1)
