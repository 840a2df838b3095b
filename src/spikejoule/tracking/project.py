"""The results of a project under DVC: whether they are those that dvc.lock records.

DVC itself looks at a file's content only where its time stamp, size or inode have
changed. Here every byte is read.
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
"""A stage of dvc.lock as it last ran: `deps` and `outs` (each with `path` and `md5`),
`params`.
"""


def locked_stages(files: Collection[str]) -> dict[str, Locked]:
    """The stages of the working directory's dvc.lock that made some files, or anything
    that those were made from; ArtifactError if it is missing."""
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
    """See that files of the working directory are the one whole result that its
    dvc.lock records.

    Every file that they were made from is looked at, too, where it is on the disk, and
    every parameter. Code is not: whether it has changed since is what `dvc status`
    says.

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
        # What the files were made from need not be there, if it is of one run.
        if len(digests) < 2 and not path.is_file() and name not in names:
            continue
        digest = file_digest(path, "md5") if path.is_file() else "that of no file"
        if digests != {digest}:
            problems.append(
                f"{name} is not the file that {LOCK_FILE} records: its MD5 is "
                f"{digest}, not "
                f"{' and '.join(sorted(digests)) or 'recorded'}; `{remedy}` puts "
                "it right."
            )
    if problems:
        raise ArtifactError("\n".join(problems))


def _recorded_digests(
    names: Collection[str], stages: Mapping[str, Locked]
) -> dict[str, set[str]]:
    """The MD5 digests that the lock records of some files and of all that the stages
    made.
    """
    made = {out["path"] for stage in stages.values() for out in stage["outs"]}
    recorded: dict[str, set[str]] = {name: set() for name in {*names, *made}}
    for stage in stages.values():
        for file in (*stage.get("deps", ()), *stage["outs"]):
            if file["path"] in recorded:
                recorded[file["path"]].add(file["md5"])
    return recorded


def _differing_parameters(stages: Mapping[str, Locked]) -> list[str]:
    """A sentence for each parameter of which the lock records another value than its
    file holds.
    """
    differing = set()
    for stage in stages.values():
        for file, values in stage.get("params", {}).items():
            content = flat(read_mapping(Path(file)))
            now = {
                name: value
                for name, value in content.items()
                if any(f"{name}.".startswith(f"{key}.") for key in values)
            }
            then = flat(values)
            for name in now | then:
                before = then.get(name, "nothing")
                after = now.get(name, "nothing")
                if before != after:
                    differing.add(
                        f"{file} is not what made the result, which by {LOCK_FILE} "
                        f"was {name} "
                        f"{before} (now {after}): restore it, or run `dvc repro`."
                    )
    return sorted(differing)


def check_limits(root: Path) -> str:
    """Hold the metrics that dvc.lock records against the limits of params.yaml.

    Energy is that of the counted operations under the profile of the metrics, per
    inference over the whole window: the mean, or the upper end where the profile has
    brackets alone. What the profile has no price for is not in it; where it prices
    nothing, no budget is kept.

    Args:
        root: of the project.

    Returns:
        what was kept, a sentence for each limit.

    Raises:
        LimitError: a limit is exceeded, or there is no energy to compare with a budget;
            one sentence for each.
        ParameterError: no limit is set.
        ArtifactError: there are no metrics, or they are not those of dvc.lock.
    """
    from spikejoule.params import load_params

    paths = artifact_paths(root)
    with contextlib.chdir(root):
        limits = load_params(PARAMS_FILE).energy_report
        files = [paths["energy_metrics"], paths["evaluate_metrics"]]
        check_against_lock(files)
        energy = read_json(files[0])
        evaluated = read_json(files[1])
    sentences = []
    broken = []
    if limits.budget_nj is not None:
        spent_nj = _energy_nj(energy)
        profile = energy.get("profile")
        measured = f"{files[0]} has no energy of an inference under {profile}"
        if spent_nj is not None:
            measured = f"an inference takes {spent_nj:.10g} nJ under {profile}"
        sentences.append(
            f"{measured}; energy_report.budget_nj is {limits.budget_nj:.10g}."
        )
        if spent_nj is None or spent_nj > limits.budget_nj:
            broken.append(sentences[-1])
    if limits.min_accuracy_percent is not None:
        percent = evaluated["test_accuracy_percent"]
        sentences.append(
            f"the test accuracy is {percent:.10g} %; "
            f"energy_report.min_accuracy_percent is {limits.min_accuracy_percent:.10g}."
        )
        if percent < limits.min_accuracy_percent:
            broken.append(sentences[-1])
    if not sentences:
        raise ParameterError(
            "nothing to check: energy_report.budget_nj and "
            "energy_report.min_accuracy_percent are "
            "null in params.yaml; set one of them."
        )
    if broken:
        raise LimitError("\n".join(broken))
    return "\n".join(sentences)


def _energy_nj(energy: Mapping[str, Any]) -> float | None:
    """The energy of an inference, in nJ; None where nothing is priced."""
    mean: float | None = energy.get("energy_nj")
    upper_end: float | None = energy.get("energy_high_nj")
    if not upper_end:
        return None
    return upper_end if mean is None else mean


def stage_parameters(directory: Path, stage: str) -> tuple[str, ...]:
    """The parameters that dvc.yaml of a project lists for a stage, by full name or by
    section.

    Raises ArtifactError if there is no pipeline with such a stage.
    """
    artifact_paths(directory, stage)
    return tuple(
        read_mapping(directory / PIPELINE_FILE)["stages"][stage].get("params", ())
    )
