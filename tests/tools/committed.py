"""Results and parameters of the checked-out commit.

A user's own run rewrites metrics/, figures/, reports/, dvc.lock and params.yaml in the
working tree. Tests read the committed files, with the functions here or in the fixture
`committed`.
"""

import csv
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from spikejoule.core.errors import ParameterError
from spikejoule.params import Params, parse_params
from tests.tools.made_once import made_once

REPOSITORY = Path(__file__).resolve().parents[2]

REWRITTEN = ("metrics", "figures", "reports", "dvc.lock", "params.yaml")
"""Files known to git that `make repro` and `dvc exp run` rewrite."""


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree with the committed results and parameters; read only."""
    return made_once(tmp_path_factory, "committed", write_committed)


def write_committed(folder: Path) -> None:
    """Fill a folder with links to the working tree and copies of committed files."""
    for path in REPOSITORY.iterdir():
        if path.name not in REWRITTEN or not is_clone():
            (folder / path.name).symlink_to(path)
    if is_clone():
        archive = git("archive", "--format=tar", "HEAD", *REWRITTEN)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        (folder / "params.yaml").write_text(params_text(), encoding="utf-8")


def committed_values(name: str) -> Any:
    """Read metrics/NAME.json."""
    return json.loads(committed_text(f"metrics/{name}.json"))


def committed_rows(name: str) -> list[dict[str, str]]:
    """Read the rows of metrics/NAME.csv."""
    return list(csv.DictReader(committed_text(f"metrics/{name}.csv").splitlines()))


def committed_params() -> Params:
    """Parse `params_text`."""
    return parse_params(parsed(params_text()))


def params_text() -> str:
    """Return the committed params.yaml, or the present one if its keys differ.

    Users change values. A developer who adds or renames a parameter changes keys, and
    runs the tests before the commit.
    """
    text = committed_text("params.yaml")
    try:
        parse_params(parsed(text))
    except ParameterError:
        return (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    return text


def parsed(text: str) -> dict[str, Any]:
    """Parse the text of a params.yaml like DVC."""
    content: dict[str, Any] = YAML(typ="safe").load(text)
    return content


def committed_text(path: str) -> str:
    """Read a file of the commit, or the file itself outside a clone."""
    if not is_clone():
        return (REPOSITORY / path).read_text(encoding="utf-8")
    return git("show", f"HEAD:{path}").decode()


def is_clone() -> bool:
    """Whether these tests are in a clone, not in a source archive."""
    return (REPOSITORY / ".git").exists()


def git(*arguments: str) -> bytes:
    """Run git in this repository and return its output."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True
    ).stdout
