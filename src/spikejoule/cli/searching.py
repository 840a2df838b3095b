"""The command `search`: workers that look for a Pareto front, and what they have found.

Everything here was measured on validation images. What a point reaches on test images
is measured by the pipeline, which the commands of the points run.
"""

import argparse
import contextlib
import logging
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numba
import pandas as pd

from spikejoule.cli.arguments import STORAGE_VARIABLE
from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import parsed
from spikejoule.core.provenance import file_digest
from spikejoule.core.store import write_csv
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, read_mapping
from spikejoule.energy import load_profiles, select_profile
from spikejoule.evaluation.accuracy import pareto_front
from spikejoule.params import Params, load_params
from spikejoule.search.space import (
    FAMILY,
    Search,
    SearchSettings,
    SearchSpace,
    search_space,
)
from spikejoule.tracking.listing import frame_text
from spikejoule.tracking.project import check_against_lock
from spikejoule.tracking.store import at_root, shown_uri

TRIED: Final = 200
"""Combinations that are drawn before a space is refused in which none is allowed."""

_DATABASES = (
    "sqlite:///",
    "postgresql://",
    "postgresql+psycopg://",
    "postgresql+psycopg2://",
)
_FROM_OPTIONS = ("heartbeat", "retries", "cluster", "threads", "minutes")


def search(options: argparse.Namespace) -> str:
    """Search, and say what the front is and how each of its points is repeated."""
    from spikejoule.search.launch import run_search
    from spikejoule.search.study import ENDED, GIVEN_UP, TRAINED

    # Its messages go to the standard error, which may be a file.
    logging.basicConfig(format="%(message)s")
    logging.getLogger("spikejoule").setLevel(logging.INFO)
    root = options.directory.resolve()
    params = load_params(root / PARAMS_FILE)
    search = _plan(options, root, params)
    trials = run_search(search)
    trained = trials[TRAINED]
    given_up = trials[GIVEN_UP]
    if not trained:
        raise ParameterError(
            "none of the trials was trained to its end "
            f"({given_up[0].user_attrs[ENDED]['reason']}): widen the space."
        )
    table = found_table(trained, search, params)
    if options.table is not None:
        write_csv(options.table, tuple(table), table.to_numpy().tolist())
    left_out = f"{len(given_up)} trials failed.\n" if given_up else ""
    front = front_text(table, search.settings.energy)
    dashboard = f"optuna-dashboard {shown_uri(search.storage)}"
    return f"{front}{left_out}\nThe study in a browser:\n  {dashboard}\n"


def _plan(options: argparse.Namespace, root: Path, params: Params) -> Search:
    """What search.yaml and the options ask for; nothing is begun."""
    from spikejoule.search.trial import ARTIFACTS

    file = options.space or root / "search.yaml"
    content = read_mapping(file, ParameterError)
    for name in ("study", "trials"):
        if (value := getattr(options, name)) is not None:
            content[name] = value
    paths = artifact_paths(root)
    profiles = load_profiles(root / paths["hardware"])
    try:
        settings = parsed(content, SearchSettings)
        space = search_space(
            settings, params, select_profile(profiles, settings.energy, "energy")
        )
        _check_possible(space)
    except ParameterError as error:
        lines = str(error).splitlines()
        raise ParameterError("\n".join(f"{file}: {line}" for line in lines)) from error
    with contextlib.chdir(root):
        check_against_lock([paths[name] for name in ARTIFACTS], "dvc repro prepare")
    artifacts = {name: root / paths[name] for name in ARTIFACTS}
    cores = int(numba.config.NUMBA_DEFAULT_NUM_THREADS)  # that the process may use
    of_machine = max(cores // int(options.threads), 1)
    storage = (
        options.storage or os.environ.get(STORAGE_VARIABLE) or "sqlite:///search.db"
    )
    if not storage.startswith(_DATABASES) or storage == "sqlite:///":
        raise ParameterError(
            f"--storage: {shown_uri(storage)} is not allowed; allowed: "
            "sqlite:///FILE, or "
            "postgresql://USER@HOST/DATABASE where workers are on several machines"
        )
    return Search(
        storage=at_root(root, storage),
        settings=settings,
        space=space,
        data={name: file_digest(path, "sha256") for name, path in artifacts.items()},
        paths=artifacts,
        folder=root / ".cache" / "search" / settings.study,
        workers=options.workers or (2 if options.cluster == "slurm" else of_machine),
        slurm=dict(options.slurm),
        **{name: getattr(options, name) for name in _FROM_OPTIONS},
    )


def _check_possible(space: SearchSpace) -> None:
    """Raise ParameterError if no combination of the space seems to be allowed.

    That is, none of so many random ones (:data:`TRIED`); the message has the last one's
    problem.
    """
    from spikejoule.search.study import random_trials

    problem = ""
    for trial in random_trials(TRIED):
        try:
            space.params(space.draw(trial))
            return
        except ParameterError as error:
            problem = str(error).splitlines()[0]
    raise ParameterError(
        f"none of {TRIED} combinations of the space is allowed: {problem}"
    )


def found_table(trials: Sequence[Any], search: Search, current: Params) -> pd.DataFrame:
    """The trials that were trained to their end, a row each, the cheapest first.

    The columns, of the file of --table: `trial`, its number in the study; `on_front`,
    whether no other trial is as accurate for as little energy; what it gave;
    `trained_sha256`, as that of `models/trained.pth` after the command; `command`, the
    experiment that repeats it, starting from params.yaml, which `current` is; and the
    parameters that are searched, as text.
    """
    from spikejoule.search.study import ENDED, number_of

    now = {key: str(value) for key, value in current.flattened().items()}
    family = FAMILY if search.space.side == "conventional" else ()
    order = sorted(trials, key=lambda trial: (trial.values[1], number_of(trial)))
    accuracies, energies = zip(*(trial.values for trial in order), strict=True)
    rows = []
    for trial, on_front in zip(order, pareto_front(energies, accuracies), strict=True):
        ended = trial.user_attrs[ENDED]
        whole = {key: str(value) for key, value in ended["parameters"].items()}
        rows.append(
            {
                "trial": number_of(trial),
                "on_front": int(on_front),
                **ended["metrics"],
                "processor_seconds": round(ended["processor_seconds"], 1),
                "trained_sha256": ended["trained_sha256"],
                # `dvc exp run` leaves what it sets in params.yaml: what one sets, all
                # set.
                "command": experiment_command(
                    whole, now, {*search.space.entries, *search.settings.fixed, *family}
                ),
                **{key: whole[key] for key in search.space.entries},
            }
        )
    return pd.DataFrame(rows)


def experiment_command(
    parameters: Mapping[str, str],
    current: Mapping[str, object],
    always: Collection[str] = (),
) -> str:
    """The experiment that repeats a run of some parameters, starting from those of
    `current`.

    Both by full name; `parameters` as MLflow keeps them, in Python's text of each
    value. Those of `always` are named even where they are the current ones, which
    another experiment may change.
    """
    settings = [
        # YAML has another word for none.
        f"{name}={'null' if value == 'None' else value.replace(', ', ',')}"
        for name, value in sorted(parameters.items())
        if name in always or str(current.get(name)) != value
    ]
    return " ".join(
        ["dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings)]
    )


def front_text(table: pd.DataFrame, energy: str) -> str:
    """The Pareto front in words, with the command of each point; `energy` is as in
    search.yaml.
    """
    front = table[table["on_front"] == 1]
    shown = {
        "trial": ("trial", "d"),
        "validation_accuracy_percent": ("validation %", ".2f"),
        "energy_nj_per_inference": ("nJ", ",.4g"),
        "synaptic_events_per_inference": ("synaptic events", ",.0f"),
        "macs_per_inference": ("MACs", ",.0f"),
    }
    shown = {name: column for name, column in shown.items() if name in table}
    commands = "".join(f"  {command}\n" for command in front["command"])
    return (
        f"On the front of validation accuracy and energy under {energy}, both per "
        "inference on the "
        f"validation set:\n\n{frame_text(front, shown)}\n\n"
        f"{len(table)} trials took {table['processor_seconds'].sum() / 60:.1f} "
        "processor minutes.\n"
        f"Each again through the pipeline, to the same weights:\n{commands}"
    )
