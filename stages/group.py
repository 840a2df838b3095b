"""Run a command whose runs get one parent run in MLflow.

    python -m stages.group sweep train.lr=0.001,0.003 -- dvc exp run --run-all

The words before `--` name the parent. A store that cannot be written is one warning.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spikejoule.core.errors import SpikejouleError, StoreError
from spikejoule.tracking.groups import environment_of_group
from spikejoule.tracking.store import store_of


def environment_of(group: str) -> dict[str, str]:
    """Return this process's environment, with the parent of a group's runs.

    Raises ParameterError if params.yaml in the working directory is not allowed.
    """
    store = store_of(Path.cwd())
    try:
        return environment_of_group(store, group, os.environ)
    except StoreError as error:
        print(f"warning: {error}", file=sys.stderr)
        return dict(os.environ)


def main(words: Sequence[str]) -> int:
    """Run the command after `--` and return its exit status."""
    separator = words.index("--")
    command = words[separator + 1 :]
    group = " ".join(words[:separator])
    return subprocess.run(command, env=environment_of(group)).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (SpikejouleError, OSError) as error:
        sys.exit(f"error: {str(error).rstrip('.')}.")
