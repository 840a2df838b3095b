"""The command `search`: workers that look for a front of accuracy and energy."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikejoule.cli.arguments import add_command, add_project_directory, positive

if TYPE_CHECKING:
    from spikejoule.params import Params
    from spikejoule.search.settings import SearchSettings
    from spikejoule.search.study import Search

_STORAGE = "sqlite:///search.db"
_STORAGE_VARIABLE = "SPIKEJOULE_SEARCH_STORAGE"


def add_search_command(commands: Any) -> None:
    """Add `search` to the parser's commands."""
    search = add_command(
        commands, "search", "search parameters for a front of validation accuracy and energy"
    )
    add_project_directory(search)
    search.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="what is searched (default: search.yaml of the project)",
    )
    search.add_argument("--study", metavar="NAME", help="in place of the file's `study`")
    search.add_argument(
        "--trials", type=positive, metavar="N", help="in place of the file's `trials`"
    )
    search.add_argument(
        "--storage",
        metavar="URL",
        help="the study's database, sqlite:///FILE or postgresql://USER@HOST/DATABASE (default: "
        f"${_STORAGE_VARIABLE}, or search.db in the project)",
    )
    _add_cluster(search)
    search.add_argument(
        "--heartbeat",
        type=positive,
        default=10,
        metavar="SECONDS",
        help="how often a worker says that it lives; after four times that other machines take it "
        "for dead (default: 10)",
    )
    search.add_argument(
        "--retries",
        type=positive,
        default=5,
        metavar="N",
        help="how often a trial is run again whose worker was killed (default: 5)",
    )
    search.add_argument("--figure", type=Path, metavar="FILE", help="write the front (PNG)")
    search.add_argument("--table", type=Path, metavar="FILE", help="write every trial (CSV)")
    search.set_defaults(command=_search)


def _add_cluster(search: argparse.ArgumentParser) -> None:
    search.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="trainings at once (default: as many as the process may use cores; in Slurm 2)",
    )
    search.add_argument(
        "--threads", type=positive, default=1, metavar="N", help="cores of a worker (default: 1)"
    )
    search.add_argument(
        "--cluster",
        choices=("local", "slurm"),
        default="local",
        help="where workers run (default: local)",
    )
    search.add_argument("--partition", metavar="NAME", help="of Slurm (default: its own default)")
    search.add_argument(
        "--minutes",
        type=positive,
        default=60,
        metavar="N",
        help="that a job of Slurm may take before it is queued again (default: 60)",
    )
    search.add_argument(
        "--slurm",
        action="append",
        type=_slurm_option,
        default=[],
        metavar="OPTION=VALUE",
        help="a further option of sbatch, as account=biology (repeatable)",
    )


def _search(options: argparse.Namespace) -> str:
    from spikejoule.core.errors import ParameterError

    missing = [name for name in ("optuna", "submitit") if find_spec(name) is None]
    if missing:
        raise ParameterError(
            f"`spikejoule search` needs {' and '.join(missing)}, which a project has after `make "
            "search`, or `pip install 'spikejoule[search]'`."
        )
    with _progress_reported():
        return _searched(options)


def _searched(options: argparse.Namespace) -> str:
    from spikejoule.core.errors import ParameterError
    from spikejoule.core.provenance import provenance_tags
    from spikejoule.core.store import write_bytes
    from spikejoule.core.yaml_files import PARAMS_FILE
    from spikejoule.params import load_params
    from spikejoule.search.found import found_trials, front_png, front_text, write_table
    from spikejoule.search.launch import run_search
    from spikejoule.search.settings import load_search
    from spikejoule.search.study import number_of
    from spikejoule.search.trial import TrialResult
    from spikejoule.search.worker import PARAMETERS, RESULT
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
    state = run_search(search, provenance_tags(root))
    if not state.complete:
        raise ParameterError(
            f"none of the {state.settled} trials was trained to its end: see their reasons in "
            "MLflow, and widen the space."
        )
    found = {
        number_of(trial): (
            TrialResult(**trial.user_attrs[RESULT]),
            trial.user_attrs[PARAMETERS],
        )
        for trial in state.complete
    }
    trials = found_trials(found, search.space, settings.fixed, params)
    if options.table is not None:
        write_table(trials, list(search.space.entries), options.table)
    if options.figure is not None:
        counts = f"{len(state.complete)} trials trained, {len(state.stopped)} stopped early"
        write_bytes(options.figure, front_png(trials, settings.energy, counts))
    failed = f"{len(state.failed)} trials failed.\n" if state.failed else ""
    dashboard = f"optuna-dashboard {without_passwords(search.storage)}"
    return (
        f"{front_text(trials, settings.energy)}{failed}\nThe study in a browser:\n  {dashboard}\n"
    )


def _plan(
    options: argparse.Namespace,
    root: Path,
    params: "Params",
    settings: "SearchSettings",
    file: str,
) -> "Search":
    from spikejoule.core.yaml_files import artifact_paths
    from spikejoule.energy import load_profiles, select_profile
    from spikejoule.search.settings import SYNAPTIC_EVENTS
    from spikejoule.search.space import search_space
    from spikejoule.search.study import Search, check_possible, check_storage
    from spikejoule.search.trial import ARTIFACTS, check_artifacts, digests
    from spikejoule.tracking import project_store
    from spikejoule.tracking.search_runs import SearchRun

    space = search_space(settings, params, file)
    paths = artifact_paths(root)
    price_list = root / paths["hardware"]
    profile = None
    if settings.energy != SYNAPTIC_EVENTS:
        profile = select_profile(load_profiles(price_list), settings.energy, f"{file}: energy")
    check_possible(space, profile, file)
    storage = options.storage or os.environ.get(_STORAGE_VARIABLE) or _STORAGE
    if storage.startswith("sqlite:///"):
        storage = f"sqlite:///{root / storage.removeprefix('sqlite:///')}"
    check_storage(storage)
    check_artifacts(root, [paths[name] for name in ARTIFACTS])
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
    allowed = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    cores = (os.cpu_count() or 1) if allowed is None else len(allowed(0))
    return max(cores // int(options.threads), 1)


def _slurm_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is no OPTION=VALUE, as account=biology")
    return name.lstrip("-").replace("-", "_"), value


@contextmanager
def _progress_reported() -> Iterator[None]:
    """Show the messages of the search on the standard error, which may be a file."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("spikejoule")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
