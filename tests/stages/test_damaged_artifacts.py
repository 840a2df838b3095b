"""Damaged artifacts, drawn from seeds, before every reader: all stages, and the command line.

What a reader must do with damage is one of three: refuse it in one sentence that names the file,
before anything is written; give the very same results; or, where the file is a valid one with
other content, compute with it, and then `publish` refuses the file. Each reader's first seed is
always drawn, the rest of the 200 with the slow tests; more than these: SPIKEJOULE_DAMAGED=2000.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from spikejoule.cli import main as spikejoule
from spikejoule.tracking import Publication
from tests.tools.damage import Damage, damaged
from tests.tools.damage_formats import FORMATS, MARK
from tests.tools.finished_project import (
    MODULES,
    call,
    content_of,
    inputs_and_outputs,
    path_of,
)
from tests.tools.pipeline_tools import artifact_paths

N_SEEDS = int(os.environ.get("SPIKEJOULE_DAMAGED", "200"))
LOCK = Path("dvc.lock")  # where the finished project has one, publish must compare with it
REPOSITORY = Path(__file__).resolve().parents[2]

# publish hands these to MLflow as they are: only dvc.lock can tell that they are others.
PASSED_ON = {
    "data_metrics", "history", "confusion", "per_class", "accuracy_by_step", "early_exit",
    "baseline_metrics", "energy_table", "training_curves", "spike_raster", "confusion_figure",
    "per_class_figure", "hardware", "energy_page", "energy_card", "contenders",
}  # fmt: skip
COMMANDS = {
    "spikejoule inspect": ["inspect", "{checkpoint}"],
    "spikejoule report": ["report", "{checkpoint}"],
    "spikejoule measure": ["measure", "{checkpoint}", "--images", "mnist5k", "--samples", "5"],
    "spikejoule energy": [
        *("energy", "{checkpoint}", "--hardware", "{hardware}", "--baseline", "{baseline}"),
        *("--html", "page.html"),
    ],
}


def readers() -> Iterator[tuple[str, str]]:
    """Every stage or command, with each artifact that it reads."""
    for stage in MODULES:
        for artifact in inputs_and_outputs(stage, REPOSITORY)[0]:
            yield stage, artifact
    for command, words in COMMANDS.items():
        for artifact in ("checkpoint", "hardware", "baseline"):
            if f"{{{artifact}}}" in words:
                yield command, artifact


READERS = list(readers())


@dataclass(frozen=True)
class Outcome:
    """What a reader gave.

    Attributes:
        status: its exit status; None for a traceback.
        errors: the lines of its standard error, or the end of the traceback.
        files: all files afterwards.
        results: what it says or has published, and the files without clocks.
    """

    status: int | None
    errors: list[str]
    files: dict[str, bytes]
    results: dict[str, Any]


Run = Callable[[str], Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a stage or a command in the working directory."""
    published: list[Any] = []

    def publish(record: Any, *_: Any, **__: Any) -> Publication:
        published.append(record)
        return Publication(run_id="none", added=True)

    monkeypatch.setattr("stages.publish.publish", publish)

    def run(reader: str) -> Outcome:
        published.clear()
        capsys.readouterr()
        status: int | None = None
        trace: list[str] = []
        try:
            if reader in MODULES:
                status = call(reader)
            else:
                paths = artifact_paths(Path())
                status = spikejoule([word.format(**paths) for word in COMMANDS[reader]])
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            trace = [f"{type(error).__name__}: {error} ({place})"]
        captured = capsys.readouterr()
        files = content_of(Path())
        return Outcome(
            status,
            trace or captured.err.splitlines(),
            files,
            {
                "out": captured.out,
                **{name: _without_clocks(name, data) for name, data in files.items()},
                **{f"published {n}": _published(record) for n, record in enumerate(published)},
            },
        )

    return run


def _without_clocks(name: str, data: bytes) -> Any:
    """A file's content; of one that holds clocks, what it holds them under."""
    try:
        return sorted(json.loads(data)) if name.startswith("results/timings/") else data
    except (ValueError, TypeError):
        return data  # it is the damaged one


def _published(record: Any) -> str:
    """A record, and the digests of the files that are stored with it."""
    digests = [hashlib.md5(one.path.read_bytes()).hexdigest() for one in record.artifacts]
    return f"{dataclasses.asdict(record)} {digests}"


@pytest.fixture(scope="module")
def references() -> dict[str, dict[str, Any]]:
    """Results of the readers on files without damage, as far as they have been needed."""
    return {}


@dataclass(frozen=True)
class Case:
    """One damaged artifact before one reader."""

    reader: str
    artifact: str
    damage: Damage
    path: Path
    original: bytes

    @property
    def told(self) -> str:
        return f"{self.reader}: {self.path}: {self.damage.words}"

    def with_old_digest(self, result: Any) -> Any:
        """A result in which the damaged file goes by the SHA-256 that it had before.

        That a page states which file it was made from is no effect of the damage.
        """
        if self.damage.data is None or not isinstance(result, bytes):
            return result
        old, new = (
            hashlib.sha256(data).hexdigest().encode() for data in (self.original, self.damage.data)
        )
        return result.replace(new, old)


def draw(seed: int) -> Case:
    """Damage an artifact of the project that is the working directory."""
    reader, artifact = READERS[seed % len(READERS)]
    path, random = path_of(artifact), Random(seed)
    damage = damaged(artifact, path, random)
    if seed // len(READERS) % 2 and reader in MODULES:
        # Where there are no outputs yet, one that is written too early shows best.
        for name in inputs_and_outputs(reader, Path())[1]:
            path_of(name).unlink()
    original = path.read_bytes()
    damage.put(path)
    assert not path.is_file() or path.read_bytes() != original
    return Case(reader, artifact, damage, path, original)


def problem(case: Case, before: dict[str, bytes], after: Outcome, changed: list[str]) -> str:
    """What is wrong with the outcome, in words; empty if nothing.

    `before`: the files before the reader began. `changed`: which results differ from those of a
    project without damage.
    """
    if Path(MARK).exists():
        return "a pickle was executed"
    if after.status is None:
        return f"a traceback: {after.errors[-1]}"
    if after.status == 1:
        return _refusal_problem(case, before, after)
    if case.reader == "publish" and LOCK.exists():
        return f"published, though {LOCK} has another MD5"
    if case.reader == "publish" and case.artifact in PASSED_ON:
        return ""
    if changed and not case.damage.content_only:
        return f"accepted, with other {', '.join(changed)}"
    return ""


def changed_results(case: Case, after: Outcome, expected: dict[str, Any]) -> list[str]:
    """The results, the damaged file itself aside, that are not as `expected`."""
    found = {name: case.with_old_digest(result) for name, result in after.results.items()}
    names = {*expected, *found} - {str(case.path)}
    return sorted(name for name in names if expected.get(name) != found.get(name))


def _refusal_problem(case: Case, before: dict[str, bytes], after: Outcome) -> str:
    if after.files != before:
        names = {*before, *after.files}
        written = [name for name in names if before.get(name) != after.files.get(name)]
        return f"refused after {', '.join(sorted(written))} had been written: {after.errors}"
    if len(after.errors) != 1 or not after.errors[0].startswith("error: "):
        return f"refused in other than one sentence: {after.errors}"
    (line,) = after.errors
    # Of whole files that do not fit each other, none is the wrong one.
    names = [str(case.path)]
    if case.damage.content_only and case.reader in MODULES:
        names += [str(path_of(name)) for name in inputs_and_outputs(case.reader, Path())[0]]
    if not any(name in line for name in names):
        return f"refused without the file's name: {line}"
    if after.results["out"]:
        return f"refused after an answer had been printed: {line}"
    return "" if len(line) < 400 else f"refused at length: {line}"


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(
    "seed",
    [
        *range(len(READERS)),
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(len(READERS), N_SEEDS)),
    ],
)
def test_damage_is_refused_by_name_or_without_effect(
    seed: int, run: Run, references: dict[str, dict[str, Any]]
) -> None:
    reader, _ = READERS[seed % len(READERS)]
    if reader not in references:
        reference = run(reader)
        assert reference.status == 0, reference.errors
        references[reader] = reference.results
        Path("page.html").unlink(missing_ok=True)
    case = draw(seed)
    before = content_of(Path())
    after = run(reader)
    changed = changed_results(case, after, references[reader])
    found = problem(case, before, after, changed)
    assert not found, f"{case.told}: {found}"
    if after.status == 0 and changed and reader in MODULES and LOCK.exists():
        # A valid file with other content, computed with: dvc.lock knows the file by its MD5.
        refused = run("publish")
        assert refused.status == 1, case.told
        assert any(str(case.path) in line for line in refused.errors), (case.told, refused.errors)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
def test_front_of_a_damaged_store(
    seed: int,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SQLite notices part of the damage to its bytes, and only what it reads."""
    for name in ("params.yaml", "mlflow.db"):
        shutil.copy(finished / name, tmp_path)
    store = tmp_path / "mlflow.db"
    damage = damaged("store", store, Random(seed))
    damage.put(store)
    status = spikejoule(["front", str(tmp_path)])
    captured = capsys.readouterr()
    assert status in (0, 1)
    assert bool(captured.out) == (status == 0)
    if status == 1:
        (line,) = captured.err.splitlines()
        assert line.startswith("error: ")
        assert str(store) in line or "it is empty" in line, damage.words


@pytest.mark.usefixtures("copied")
def test_a_file_without_damage_is_put_together_as_it_was() -> None:
    """So damage to the content is all that differs in a file with damaged content."""
    paths = {name: Path(path) for name, path in artifact_paths(Path()).items()}
    taken = [path for path in paths.values() if path.suffix in FORMATS]
    assert {path.suffix for path in taken} == set(FORMATS)
    for path in taken:
        data, form = path.read_bytes(), FORMATS[path.suffix]
        assert form.encode(form.decode(data)) == data, path


@pytest.mark.usefixtures("copied")
def test_damage_follows_from_its_seed() -> None:
    for artifact in artifact_paths(Path()):
        path = path_of(artifact)
        first, second = (damaged(artifact, path, Random(7)) for _ in range(2))
        assert first.words == second.words, artifact
        assert first.data == second.data, artifact
