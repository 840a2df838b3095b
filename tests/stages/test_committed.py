"""What tests compare with stays that of the commit, whatever a user has run since."""

from pathlib import Path

import pytest

from tests.tools import committed
from tests.tools.pipeline_tools import clean_environment, commit, git

OF_COMMIT = {
    "metrics/summary.json": '{"accuracy": 98}',
    "figures/curves.png": "drawn",
    "reports/energy.html": "page",
    "dvc.lock": "recorded",
    "params.yaml": "train:\n  lr: 0.003\n",
    "README.md": "read me",
}
OF_USER = {name: text + "# of a user" for name, text in OF_COMMIT.items()} | {
    "params.yaml": "train:\n  lr: 0.001\n",
}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which a user has run the pipeline with another learning rate."""
    folder, environment = tmp_path / "clone", clean_environment(tmp_path)
    write(folder, OF_COMMIT)
    git(folder, environment, "init", "-q")
    git(folder, environment, "config", "user.name", "A Researcher")
    git(folder, environment, "config", "user.email", "researcher@example.org")
    commit(folder, environment, "Results")
    write(folder, OF_USER)
    monkeypatch.setattr(committed, "REPOSITORY", folder)
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def content(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text(encoding="utf-8") for name in OF_COMMIT}


def test_results_and_parameters_are_committed_and_all_else_is_as_it_is(
    clone: Path, tmp_path: Path
) -> None:
    (tmp_path / "seen").mkdir()
    committed.write_committed(tmp_path / "seen")
    assert content(tmp_path / "seen") == OF_COMMIT | {"README.md": OF_USER["README.md"]}
    assert committed.committed_values("summary") == {"accuracy": 98}


def test_a_parameter_can_be_added_before_it_is_committed(clone: Path) -> None:
    text = "train:\n  lr: 0.002\n  momentum: 0.9\n"
    (clone / "params.yaml").write_text(text, encoding="utf-8")
    assert committed.params_text() == text


def test_an_archive_of_the_source_has_what_it_has(clone: Path, tmp_path: Path) -> None:
    (clone / ".git").rename(tmp_path / "git")
    (tmp_path / "seen").mkdir()
    committed.write_committed(tmp_path / "seen")
    assert content(tmp_path / "seen") == OF_USER
    assert committed.params_text() == OF_USER["params.yaml"]
