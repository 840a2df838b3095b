"""Limits on the metrics of a project: `spikejoule check`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spikejoule.core.errors import LimitError, ParameterError
from spikejoule.core.store import number_in, read_json
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.params import load_params


def check_limits(root: Path) -> str:
    """Check the project's metrics against the limits in its params.yaml.

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
        ArtifactError: metrics are missing or damaged.
    """
    paths = artifact_paths(root)
    limits = load_params(root / PARAMS_FILE).energy_report
    energy = read_json(root / paths["energy_metrics"])
    evaluation = read_json(root / paths["evaluate_metrics"])
    checks: list[_Check] = []
    if limits.budget_nj is not None:
        checks.append(_check_energy(energy, paths["energy_metrics"], limits.budget_nj))
    if limits.min_accuracy_percent is not None:
        path = paths["evaluate_metrics"]
        checks.append(_check_accuracy(evaluation, path, limits.min_accuracy_percent))
    broken = [check.sentence for check in checks if not check.is_kept]
    if broken:
        raise LimitError("\n".join(broken))
    if not checks:
        raise ParameterError(
            "nothing to check: energy_report.budget_nj and "
            "energy_report.min_accuracy_percent are null in params.yaml; set one of "
            "them."
        )
    return "\n".join(check.sentence for check in checks)


class _Check(NamedTuple):
    """Whether a limit is kept, and the sentence that says so."""

    is_kept: bool
    sentence: str


def _check_energy(energy: Mapping[str, Any], path: Path, budget_nj: float) -> _Check:
    """Compare the energy in the metrics file `path` with a budget."""
    energy_nj = _energy_nj(energy, path)
    profile = energy.get("profile")
    if energy_nj is None:
        measured = f"{path} has no energy of an inference under {profile}"
    else:
        measured = f"an inference takes {energy_nj:.10g} nJ under {profile}"
    is_kept = energy_nj is not None and energy_nj <= budget_nj
    return _Check(is_kept, f"{measured}; energy_report.budget_nj is {budget_nj:.10g}.")


def _check_accuracy(
    evaluation: Mapping[str, Any], path: Path, least_percent: float
) -> _Check:
    """Compare the accuracy in the metrics file `path` with the least allowed."""
    percent = number_in(evaluation, "test_accuracy_percent", path)
    return _Check(
        percent >= least_percent,
        f"the test accuracy is {percent:.10g} %; "
        f"energy_report.min_accuracy_percent is {least_percent:.10g}.",
    )


def _energy_nj(energy: Mapping[str, Any], path: Path) -> float | None:
    """The energy of an inference, in nJ; None where nothing is priced."""
    if not energy.get("energy_high_nj"):
        return None
    name = "energy_high_nj" if energy.get("energy_nj") is None else "energy_nj"
    return number_in(energy, name, path)
