"""The command `search`: run a search, and report the front it found.

Everything here was measured on validation images. The pipeline measures a point on test
images when its command is run.
"""

import argparse
import logging
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numba
import pandas as pd

from spikejoule.cli.arguments import STORAGE_VARIABLE
from spikejoule.core.errors import ArtifactError, ParameterError, StoreError
from spikejoule.core.parameters import parsed
from spikejoule.core.provenance import file_digest
from spikejoule.core.store import write_csv
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, read_mapping
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.evaluation.accuracy import pareto_front
from spikejoule.params import Params, load_params
from spikejoule.search.space import (
    FAMILY,
    Search,
    SearchSettings,
    SearchSpace,
    search_space,
)
from spikejoule.tracking.groups import Trial, log_trials
from spikejoule.tracking.store import at_root, project_store
from spikejoule.tracking.tables import Column, frame_text

logger = logging.getLogger(__name__)

MAX_DRAWS: Final = 200
"""Random combinations to try before a space without an allowed one is refused."""

ACCURACY: Final = "validation_accuracy_percent"
ENERGY: Final = "energy_nj_per_inference"

_DATABASES = (
    "sqlite:///",
    "postgresql://",
    "postgresql+psycopg://",
    "postgresql+psycopg2://",
)


def search(options: argparse.Namespace) -> str:
    """Run the search, and report the front with a command for each of its points."""
    from spikejoule.search.launch import run_search
    from spikejoule.search.study import ENDED, GIVEN_UP, TRAINED

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
        log_trials(store, f"search {plan.settings.study}", map(_recorded, trained))
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


def _recorded(trial: Any) -> Trial:
    """Arrange a trained trial as a run."""
    from spikejoule.search.study import ENDED, number_of

    ended = trial.user_attrs[ENDED]
    return Trial(
        name=f"trial {number_of(trial)}",
        parameters=ended["parameters"],
        # MLflow's saved view shows `accuracy_val`.
        metrics={"accuracy_val": ended["metrics"][ACCURACY], **ended["metrics"]},
    )


def found_table(trials: Sequence[Any], search: Search, current: Params) -> pd.DataFrame:
    """Make a table of the trained trials, a row each, the cheapest first.

    Its columns, as in the file of --table: `trial`, its number in the study;
    `on_front`, whether no other trial is as accurate for as little energy; its metrics;
    `trained_sha256`, the digest of `models/trained.pth` after the command; `command`,
    the experiment that repeats it, starting from `current`, the params.yaml of now; and
    the searched parameters, as text.
    """
    from spikejoule.search.study import ENDED, number_of

    current_text = {key: str(value) for key, value in current.flattened().items()}
    # A run's conventional networks belong to families with parameters of their own.
    family = FAMILY if search.space.side == "conventional" else ()
    # `dvc exp run` leaves its settings in params.yaml. Every command sets all of these,
    # so that commands can follow each other in any order.
    always = {*search.space.entries, *search.settings.fixed, *family}
    rows = []
    for trial in trials:
        ended = trial.user_attrs[ENDED]
        parameters = {key: str(value) for key, value in ended["parameters"].items()}
        rows.append(
            {
                "trial": number_of(trial),
                **ended["metrics"],
                "processor_seconds": round(ended["processor_seconds"], 1),
                "trained_sha256": ended["trained_sha256"],
                "command": experiment_command(parameters, current_text, always),
                **{key: parameters[key] for key in search.space.entries},
            }
        )
    table = pd.DataFrame(rows).sort_values([ENERGY, "trial"], ignore_index=True)
    front = pareto_front(table[ENERGY].tolist(), table[ACCURACY].tolist())
    table.insert(1, "on_front", [int(on_front) for on_front in front])
    return table


def experiment_command(
    parameters: Mapping[str, str],
    current: Mapping[str, object],
    always: Collection[str] = (),
) -> str:
    """Write the `dvc exp run` command that repeats a run.

    Args:
        parameters: all parameters by full name, as Python's text of each value.
        current: the parameters in params.yaml, by full name.
        always: names to set even where the value is the current one, which another
            experiment may change.
    """
    words = ["dvc exp run"]
    for name, value in sorted(parameters.items()):
        if name in always or str(current.get(name)) != value:
            # None is null in YAML, and a list must be one word.
            text = "null" if value == "None" else value.replace(", ", ",")
            words.append(f"-S {shlex.quote(f'{name}={text}')}")
    return " ".join(words)


def front_text(table: pd.DataFrame, energy: str) -> str:
    """Format the Pareto front, with a command for each point.

    Args:
        table: as by `found_table`.
        energy: id of the price list.
    """
    front = table[table["on_front"] == 1]
    columns: dict[str, Column] = {
        "trial": ("trial", "d"),
        ACCURACY: ("validation %", ".2f"),
        ENERGY: ("nJ", ",.4g"),
        "synaptic_events_per_inference": ("synaptic events", ",.0f"),
        "macs_per_inference": ("MACs", ",.0f"),
    }
    shown = {name: column for name, column in columns.items() if name in table}
    minutes = table["processor_seconds"].sum() / 60
    commands = [f"  {command}" for command in front["command"]]
    return "\n".join(
        [
            f"On the front of validation accuracy and energy under {energy}, both per "
            "inference on the validation set:",
            "",
            frame_text(front, shown),
            "",
            f"{len(table)} trials took {minutes:.1f} processor minutes.",
            "Commands that repeat them in the pipeline, with the same weights:",
            *commands,
            "",
        ]
    )
