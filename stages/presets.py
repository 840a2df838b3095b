"""Run presets as DVC experiments: `python -m stages.presets NAME... --seeds 42 43 44`.

A preset is a file `experiments/NAME.yaml` with values for params.yaml by their full
keys (`train.lr`). Each is run by a plain DVC command, which is printed first and can be
typed by hand:

    dvc exp run --temp -n NAME -S train.lr=0.001 -S seed=42

The experiment is named NAME, or NAME-seed-43 for a seed other than 42. It replaces an
experiment of that name, which stays if the new one fails. (After a kill, the old commit
is below refs/spikejoule/replaced until NAME is run again.) DVC keeps the results of
every stage, so what experiments share is computed once. Several experiments get one
parent run in MLflow.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from spikejoule.core.errors import SpikejouleError
from stages import group, locks

FOLDER = Path("experiments")
DEFAULT_SEED = 42
DVC = (sys.executable, "-m", "dvc")
EXPERIMENTS = "refs/exps"
REPLACED = "refs/spikejoule/replaced"


def overrides_of(path: Path) -> list[str]:
    """Read a preset as DVC's settings: `train.lr=0.001`, `model.hidden=[100,200]`."""
    # The base loader keeps scalars as text: 0.00001 does not become 1e-05.
    try:
        preset = YAML(typ="base").load(path.read_text(encoding="utf-8"))
    except RecursionError:
        preset = None  # lists in lists
    if not isinstance(preset, dict) or not all(map(_is_value, preset.values())):
        raise ValueError(
            f"{path} must hold values or lists of values by full keys, such as "
            "`train.lr: 0.001`"
        )
    overrides = []
    for key, value in preset.items():
        text = f"[{','.join(value)}]" if isinstance(value, list) else value
        overrides.append(f"{key}={text}")
    return overrides


def _is_value(value: Any) -> bool:
    """Whether a value is text, or a list of texts."""
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(text, str) for text in texts)


def experiment_name(preset: str, seed: int) -> str:
    """Name the experiment of a preset and a seed."""
    return preset if seed == DEFAULT_SEED else f"{preset}-seed-{seed}"


def run_experiment(
    name: str, overrides: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Run an experiment in place of one of its name; return DVC's exit status."""
    arguments = ["exp", "run", "--temp", "-n", name]
    for override in overrides:
        arguments += ["-S", override]
    print(shlex.join(["dvc", *arguments]), flush=True)
    # DVC replaces an experiment only with `--force`, which would run all stages again.
    move_experiment(name, EXPERIMENTS, REPLACED)
    status = 1
    try:
        status = subprocess.run([*DVC, *arguments], env=environment).returncode
    finally:
        if status:
            move_experiment(name, REPLACED, EXPERIMENTS)
    for reference, _ in references_of(name, REPLACED):
        git("update-ref", "-d", reference)
    return status


def move_experiment(name: str, old: str, new: str) -> None:
    """Move an experiment's git references; at every moment one of them exists."""
    for reference, commit in references_of(name, old):
        git("update-ref", f"{new}{reference.removeprefix(old)}", commit)
        git("update-ref", "-d", reference)


def references_of(name: str, folder: str) -> list[tuple[str, str]]:
    """List the git references to an experiment, each with its commit.

    There is one for each commit that the experiment began at.
    """
    form = "--format=%(refname) %(objectname)"
    lines = git("for-each-ref", form, f"{folder}/*/*/{name}").splitlines()
    return [(reference, commit) for reference, commit in map(str.split, lines)]


def git(*arguments: str) -> str:
    """Run git and return its output."""
    return subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True
    ).stdout


def main(words: Sequence[str] | None = None) -> int:
    """Run every preset with every seed; return the exit status of the first failure."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.presets", description="Run presets as DVC experiments."
    )
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    parser.add_argument(
        "presets",
        nargs="+",
        choices=known,
        metavar="NAME",
        help=f"a file of {FOLDER}/: {', '.join(known)}",
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[DEFAULT_SEED],
        metavar="SEED",
        help="random seeds (default: %(default)s)",
    )
    chosen = parser.parse_args(words)
    environment: Mapping[str, str] = os.environ
    if len(chosen.presets) * len(chosen.seeds) > 1:
        seeds = " ".join(map(str, chosen.seeds))
        name = f"{' '.join(chosen.presets)}, seeds {seeds}"
        environment = group.environment_of(name)
    for seed in chosen.seeds:
        for preset in chosen.presets:
            overrides = [*overrides_of(FOLDER / f"{preset}.yaml"), f"seed={seed}"]
            locks.main(Path.cwd())
            name = experiment_name(preset, seed)
            status = run_experiment(name, overrides, environment)
            if status:
                return status
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except YAMLError as error:
        sys.exit(f"error: a preset is not valid YAML: {' '.join(str(error).split())}")
    except (
        SpikejouleError,
        OSError,
        ValueError,
        subprocess.CalledProcessError,
    ) as error:
        sys.exit(f"error: {str(error).rstrip('.')}.")
