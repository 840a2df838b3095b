"""Results and parameters that git keeps, whatever has been run in the folder since.

A user's own run rewrites metrics/, figures/, reports/, dvc.lock and params.yaml. Tests
take these files from the checked-out commit, by the functions here or from the fixture
`committed`, a project in which they are those of the commit.
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
"""What `make repro` and `dvc exp run` write among the files that git knows."""


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree with the results and parameters of the commit; only to be
    read.
    """
    return made_once(tmp_path_factory, "committed", write_committed)


def write_committed(folder: Path) -> None:
    """Fill `folder` with links to the working tree and copies of what is committed."""
    for path in REPOSITORY.iterdir():
        if path.name not in REWRITTEN or not is_clone():
            (folder / path.name).symlink_to(path)
    if is_clone():
        archive = git("archive", "--format=tar", "HEAD", *REWRITTEN)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        (folder / "params.yaml").write_text(params_text(), encoding="utf-8")


def committed_values(name: str) -> Any:
    """The content of metrics/NAME.json."""
    return json.loads(committed_text(f"metrics/{name}.json"))


def committed_rows(name: str) -> list[dict[str, str]]:
    """The rows of metrics/NAME.csv."""
    return list(csv.DictReader(committed_text(f"metrics/{name}.csv").splitlines()))


def committed_params() -> Params:
    """The parameters of `params_text`."""
    return parse_params(parsed(params_text()))


def params_text() -> str:
    """params.yaml with the committed values; as it is where it has other keys.

    A user changes values. Whoever adds or renames a parameter changes keys, and tests
    it before it is committed.
    """
    text = committed_text("params.yaml")
    try:
        parse_params(parsed(text))
    except ParameterError:
        return (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    return text


def parsed(text: str) -> dict[str, Any]:
    """The content of a params.yaml, read as DVC reads it."""
    content: dict[str, Any] = YAML(typ="safe").load(text)
    return content


def committed_text(path: str) -> str:
    """A file of the checked-out commit; of a folder that is no clone, the file
    itself.
    """
    if not is_clone():
        return (REPOSITORY / path).read_text(encoding="utf-8")
    return git("show", f"HEAD:{path}").decode()


def is_clone() -> bool:
    """Whether these tests are in a clone, rather than in an archive of the source."""
    return (REPOSITORY / ".git").exists()


def git(*arguments: str) -> bytes:
    """What git prints about this repository."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True
    ).stdout
