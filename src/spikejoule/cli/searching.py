"""The command `search`: run a search, and report the front it found."""

import argparse
import logging
import os
from pathlib import Path
from typing import Final

import numba

from spikejoule.cli.arguments import STORAGE_VARIABLE
from spikejoule.core.errors import ArtifactError, ParameterError, StoreError
from spikejoule.core.parameters import parsed
from spikejoule.core.provenance import file_digest
from spikejoule.core.store import write_csv
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, read_mapping
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.params import Params, load_params
from spikejoule.search.attributes import ENDED
from spikejoule.search.found import found_table, front_text, recorded
from spikejoule.search.space import (
    Search,
    SearchSettings,
    SearchSpace,
    search_space,
)
from spikejoule.tracking.groups import log_trials
from spikejoule.tracking.store import at_root, project_store

logger = logging.getLogger(__name__)

MAX_DRAWS: Final = 200
"""Random combinations to try before a space without an allowed one is refused."""

_DATABASES = (
    "sqlite:///",
    "postgresql://",
    "postgresql+psycopg://",
    "postgresql+psycopg2://",
)


def search(options: argparse.Namespace) -> str:
    """Run the search, and report the front with a command for each of its points."""
    from spikejoule.search.launch import run_search
    from spikejoule.search.study import GIVEN_UP, TRAINED

    # Progress goes to the standard error, which may be a file.
    logging.basicConfig(format="%(message)s")
    logging.getLogger("spikejoule").setLevel(logging.INFO)
    root = options.directory.resolve()
    params = load_params(root / PARAMS_FILE)
    plan = _plan(options, root, params)
    trials = run_search(plan)
    trained = trials[TRAINED]
    given_up = trials[GIVEN_UP]
    if not trained:
        reason = given_up[0].user_attrs[ENDED]["reason"]
        raise ParameterError(
            f"none of the trials was trained to its end ({reason}): widen the space."
        )
    store = project_store(root, params.publish.experiment)
    try:
        log_trials(store, f"search {plan.settings.study}", map(recorded, trained))
    except StoreError as error:
        logger.warning("%s", error)
    table = found_table(trained, plan, params)
    if options.table is not None:
        write_csv(options.table, tuple(table), table.to_numpy().tolist())
    failed = f"{len(given_up)} trials failed.\n" if given_up else ""
    front = front_text(table, plan.settings.energy)
    # The address of a server may hold a password.
    is_file = plan.storage.startswith("sqlite:")
    address = plan.storage if is_file else f'"${STORAGE_VARIABLE}"'
    dashboard = f"The study in a browser:\n  optuna-dashboard {address}\n"
    return f"{front}{failed}\n{dashboard}"


def _plan(options: argparse.Namespace, root: Path, params: Params) -> Search:
    """Combine search.yaml and the options into a search; start nothing."""
    from spikejoule.search.trial import ARTIFACTS

    # What to search.
    file = options.space or root / "search.yaml"
    content = read_mapping(file, ParameterError)
    if options.study is not None:
        content["study"] = options.study
    if options.trials is not None:
        content["trials"] = options.trials
    paths = artifact_paths(root)
    profiles = load_profiles(root / paths["hardware"])
    try:
        settings = parsed(content, SearchSettings)
        profile = select_profile(profiles, settings.energy, "energy")
        space = search_space(settings, params, profile)
        _check_possible(space)
    except ParameterError as error:
        lines = str(error).splitlines()
        raise ParameterError("\n".join(f"{file}: {line}" for line in lines)) from error

    # On which data, and where.
    artifacts = {name: root / paths[name] for name in ARTIFACTS}
    for path in artifacts.values():
        if not path.is_file():
            raise ArtifactError(f"there is no {path}: run `dvc repro prepare`.")
    storage = (
        options.storage or os.environ.get(STORAGE_VARIABLE) or "sqlite:///search.db"
    )
    if not storage.startswith(_DATABASES) or storage == "sqlite:///":
        raise ParameterError(
            "--storage: this address is not allowed; allowed: sqlite:///FILE, or "
            "postgresql://USER@HOST/DATABASE for workers on several machines"
        )
    cores = int(numba.config.NUMBA_DEFAULT_NUM_THREADS)  # cores this process may use
    local_workers = max(cores // int(options.threads), 1)
    return Search(
        storage=at_root(root, storage),
        settings=settings,
        space=space,
        data={name: file_digest(path, "sha256") for name, path in artifacts.items()},
        paths=artifacts,
        folder=root / ".cache" / "search" / settings.study,
        cluster=options.cluster,
        workers=options.workers or (2 if options.cluster == "slurm" else local_workers),
        threads=options.threads,
        minutes=options.minutes,
        slurm=dict(options.slurm),
    )


def _check_possible(space: SearchSpace) -> None:
    """Raise ParameterError if none of `MAX_DRAWS` random combinations is allowed.

    The message has the problem of the last one.
    """
    from spikejoule.search.study import random_trials

    problem = ""
    for trial in random_trials(MAX_DRAWS):
        try:
            space.params(space.draw(trial))
            return
        except ParameterError as error:
            problem = str(error).splitlines()[0]
    raise ParameterError(
        f"none of {MAX_DRAWS} combinations of the space is allowed: {problem}"
    )
