"""Whether files of a project are the result that dvc.lock records; limits on metrics.

DVC itself reads a file again only where its time stamp, size or inode have changed.
Here every byte is read.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from spikejoule.core.errors import ArtifactError, LimitError, ParameterError
from spikejoule.core.parameters import flat
from spikejoule.core.provenance import file_digest
from spikejoule.core.store import read_json
from spikejoule.core.yaml_files import (
    PARAMS_FILE,
    PIPELINE_FILE,
    artifact_paths,
    read_mapping,
)

LOCK_FILE = "dvc.lock"

Locked = Mapping[str, Any]
"""A stage of dvc.lock: `deps` and `outs` (each with `path` and `md5`), `params`."""


def locked_stages(files: Collection[str]) -> dict[str, Locked]:
    """Find the stages in dvc.lock that made some files, directly or indirectly.

    Raises ArtifactError if the working directory has no dvc.lock.
    """
    path = Path(LOCK_FILE)
    if not path.is_file():
        raise ArtifactError(
            f"there is no {path}, which records the run that made the results: run "
            "`dvc repro`."
        )
    stages: Mapping[str, Locked] = read_mapping(path).get("stages", {})
    makers = {
        out["path"]: name
        for name, stage in stages.items()
        for out in stage.get("outs", ())
    }
    needed: dict[str, Locked] = {}
    pending = list(files)
    while pending:
        name = makers.get(pending.pop())
        if name is not None and name not in needed:
            needed[name] = stages[name]
            pending += [dep["path"] for dep in needed[name].get("deps", ())]
    return needed


def check_against_lock(files: Iterable[Path], remedy: str = "dvc repro") -> None:
    """Check that files are the one whole result that dvc.lock records.

    The files that they were made from are checked too, where they are on the disk, and
    all parameters. Code is not: `dvc status` says whether it has changed since.

    Args:
        files: relative to the working directory.
        remedy: the command that makes the files anew.

    Raises:
        ArtifactError: one sentence for each file that is not what dvc.lock records.
    """
    names = {path.as_posix() for path in files}
    try:
        stages = locked_stages(names)
        recorded = _recorded_digests(names, stages)
        problems = _differing_parameters(stages)
    except (AttributeError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{LOCK_FILE} is damaged ({type(error).__name__}: {error}): restore it "
            "with git, or remove it and run `dvc repro`."
        ) from error
    for name, digests in sorted(recorded.items()):
        path = Path(name)
        # Inputs of the files may be absent, as long as the lock has one digest of them:
        # two digests mean stages of different runs.
        if len(digests) < 2 and not path.is_file() and name not in names:
            continue
        digest = file_digest(path, "md5") if path.is_file() else "that of no file"
        if digests != {digest}:
            expected = " and ".join(sorted(digests)) or "recorded"
            problems.append(
                f"{name} is not the file that {LOCK_FILE} records: its MD5 is "
                f"{digest}, not {expected}; `{remedy}` puts it right."
            )
    if problems:
        raise ArtifactError("\n".join(problems))


def _recorded_digests(
    names: Collection[str], stages: Mapping[str, Locked]
) -> dict[str, set[str]]:
    """Collect the recorded MD5 digests of files, and of all outputs of the stages."""
    outputs = {out["path"] for stage in stages.values() for out in stage["outs"]}
    recorded: dict[str, set[str]] = {name: set() for name in {*names, *outputs}}
    for stage in stages.values():
        for file in (*stage.get("deps", ()), *stage["outs"]):
            if file["path"] in recorded:
                recorded[file["path"]].add(file["md5"])
    return recorded


def _differing_parameters(stages: Mapping[str, Locked]) -> list[str]:
    """Say which parameters have another value now than in dvc.lock."""
    differing = set()
    for stage in stages.values():
        for file, values in stage.get("params", {}).items():
            recorded = flat(values)
            current = {
                name: value
                for name, value in flat(read_mapping(Path(file))).items()
                if any(f"{name}.".startswith(f"{key}.") for key in values)
            }
            for name in current | recorded:
                before = recorded.get(name, "nothing")
                now = current.get(name, "nothing")
                if before != now:
                    differing.add(
                        f"{file} is not what made the result: {LOCK_FILE} has {name} "
                        f"{before} (now {now}): restore it, or run `dvc repro`."
                    )
    return sorted(differing)


def check_limits(root: Path) -> str:
    """Check the metrics that dvc.lock records against the limits in params.yaml.

    The energy is that of the counted operations under the headline price list, per
    inference over the whole window: the mean, or the upper end of a price range.
    Operations without a price are not in it; where nothing has a price, no budget is
    kept.

    Args:
        root: root of the project.

    Returns:
        a sentence for each limit that is kept.

    Raises:
        LimitError: a limit is exceeded, or there is no energy to compare with a budget;
            one sentence each.
        ParameterError: no limit is set.
        ArtifactError: there are no metrics, or they are not those of dvc.lock.
    """
    from spikejoule.params import load_params

    paths = artifact_paths(root)
    with contextlib.chdir(root):
        limits = load_params(PARAMS_FILE).energy_report
        energy_file = paths["energy_metrics"]
        evaluation_file = paths["evaluate_metrics"]
        check_against_lock([energy_file, evaluation_file])
        energy = read_json(energy_file)
        evaluation = read_json(evaluation_file)
    kept: list[str] = []
    broken: list[str] = []
    if limits.budget_nj is not None:
        energy_nj = _energy_nj(energy)
        profile = energy.get("profile")
        if energy_nj is None:
            measured = f"{energy_file} has no energy of an inference under {profile}"
        else:
            measured = f"an inference takes {energy_nj:.10g} nJ under {profile}"
        is_kept = energy_nj is not None and energy_nj <= limits.budget_nj
        (kept if is_kept else broken).append(
            f"{measured}; energy_report.budget_nj is {limits.budget_nj:.10g}."
        )
    if limits.min_accuracy_percent is not None:
        percent = evaluation["test_accuracy_percent"]
        is_kept = percent >= limits.min_accuracy_percent
        (kept if is_kept else broken).append(
            f"the test accuracy is {percent:.10g} %; "
            f"energy_report.min_accuracy_percent is {limits.min_accuracy_percent:.10g}."
        )
    if broken:
        raise LimitError("\n".join(broken))
    if not kept:
        raise ParameterError(
            "nothing to check: energy_report.budget_nj and "
            "energy_report.min_accuracy_percent are null in params.yaml; set one of "
            "them."
        )
    return "\n".join(kept)


def _energy_nj(energy: Mapping[str, Any]) -> float | None:
    """The energy of an inference, in nJ; None where nothing is priced."""
    mean: float | None = energy.get("energy_nj")
    upper_end: float | None = energy.get("energy_high_nj")
    if not upper_end:
        return None
    return upper_end if mean is None else mean


def stage_parameters(directory: Path, stage: str) -> tuple[str, ...]:
    """List the parameters of a stage in a project's dvc.yaml, by key or by section.

    Raises ArtifactError if the folder has no pipeline with that stage.
    """
    artifact_paths(directory, stage)
    stages = read_mapping(directory / PIPELINE_FILE)["stages"]
    return tuple(stages[stage].get("params", ()))
