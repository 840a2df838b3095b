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
    from spikejoule.search.launcher import Search
    from spikejoule.search.settings import SearchSettings

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
        metavar="N",
        help="that a job of Slurm may take before it is queued again (default: 60)",
    )
    search.add_argument(
        "--slurm",
        action="append",
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
    with _progress_told():
        return _searched(options)


def _searched(options: argparse.Namespace) -> str:
    from spikejoule.core.errors import ParameterError
    from spikejoule.core.store import write_bytes
    from spikejoule.core.yaml_files import PARAMS_FILE
    from spikejoule.params import load_params
    from spikejoule.search.front import found_png, found_table, found_text, write_found
    from spikejoule.search.launcher import run_search
    from spikejoule.search.records import PARAMETERS, RESULT
    from spikejoule.search.space import space_of_entries
    from spikejoule.search.tally import root_number
    from spikejoule.tracking.store import without_passwords

    root = options.directory.resolve()
    params = load_params(root / PARAMS_FILE)
    settings, search = _plan(options, root, params)
    state = run_search(search)
    if not state.complete:
        raise ParameterError(
            f"none of the {state.settled} trials was trained to its end: see their reasons in "
            "MLflow, and widen the space."
        )
    found = {
        root_number(trial): (trial.user_attrs[RESULT], trial.user_attrs[PARAMETERS])
        for trial in state.complete
    }
    shared = search.specification
    table = found_table(found, space_of_entries(shared["base"], shared["space"]), params)
    if options.table is not None:
        write_found(table, options.table)
    if options.figure is not None:
        counts = f"{len(state.complete)} trials trained, {len(state.stopped)} stopped early"
        write_bytes(options.figure, found_png(table, settings.energy, counts))
    failed = f"{len(state.failed)} trials failed.\n" if state.failed else ""
    dashboard = f"optuna-dashboard {without_passwords(search.place.storage)}"
    return f"{found_text(table, settings.energy)}{failed}\nThe study in a browser:\n  {dashboard}\n"


def _plan(
    options: argparse.Namespace, root: Path, params: "Params"
) -> "tuple[SearchSettings, Search]":
    from spikejoule.core.provenance import provenance_tags
    from spikejoule.core.yaml_files import artifact_paths
    from spikejoule.energy import load_profiles, select_profile
    from spikejoule.search.artifacts import check_artifacts
    from spikejoule.search.database import StudyPlace, check_storage
    from spikejoule.search.jobs import ClusterSettings
    from spikejoule.search.launcher import Search
    from spikejoule.search.settings import SYNAPTIC_EVENTS, load_search
    from spikejoule.search.space import check_possible, search_space
    from spikejoule.search.trial import ARTIFACTS, digests
    from spikejoule.tracking import project_store

    file = options.space or root / "search.yaml"
    settings = load_search(file)
    changes = {"study": options.study, "trials": options.trials}
    settings = type(settings).model_validate(
        settings.model_dump() | {name: value for name, value in changes.items() if value}
    )
    space = search_space(settings, params, str(file))
    paths = artifact_paths(root)
    price_list = root / paths["hardware"]
    profile = None
    if settings.energy != SYNAPTIC_EVENTS:
        profile = select_profile(load_profiles(price_list), settings.energy, f"{file}: energy")
    check_possible(space, profile, str(file))
    storage = options.storage or os.environ.get(_STORAGE_VARIABLE) or _STORAGE
    if storage.startswith("sqlite:///"):
        storage = f"sqlite:///{root / storage.removeprefix('sqlite:///')}"
    check_storage(storage)
    check_artifacts(root, [paths[name] for name in ARTIFACTS])
    artifacts = {name: root / paths[name] for name in ARTIFACTS}
    specification = {
        "base": space.base,
        "space": settings.space,
        "energy": settings.energy,
        "prices": {} if profile is None else {of: str(one) for of, one in profile.prices.items()},
        "stop": settings.stop.model_dump(),
        "data": digests(artifacts),
    }
    search = Search(
        place=StudyPlace(storage, settings.study, options.heartbeat, options.retries),
        trials=settings.trials,
        specification=json.loads(json.dumps(specification)),
        paths=artifacts,
        price_list=price_list,
        folder=root / ".cache" / "search" / settings.study,
        store=project_store(root, f"{params.publish.experiment}-search"),
        tags=provenance_tags(root),
        cluster=ClusterSettings(
            cluster=options.cluster,
            workers=options.workers or _default_workers(options),
            threads=options.threads,
            minutes=options.minutes,
            partition=options.partition,
            options=_slurm_options(options.slurm),
            poll_seconds=1.0 if options.cluster == "local" else 5.0,
        ),
    )
    return settings, search


def _default_workers(options: argparse.Namespace) -> int:
    if options.cluster == "slurm":
        return 2
    allowed = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    cores = (os.cpu_count() or 1) if allowed is None else len(allowed(0))
    return max(cores // int(options.threads), 1)


def _slurm_options(given: list[str]) -> dict[str, str]:
    from spikejoule.core.errors import ParameterError

    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ParameterError(
                f"--slurm: {text} is not allowed; allowed: OPTION=VALUE, as account=biology"
            )
        pairs[name.lstrip("-").replace("-", "_")] = value
    return pairs


@contextmanager
def _progress_told() -> Iterator[None]:
    """Show what the search says on the standard error, which may be a file."""
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
