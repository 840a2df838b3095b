"""Limits on the metrics of a project: `spikejoule check`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    energy_file = paths["energy_metrics"]
    evaluation_file = paths["evaluate_metrics"]
    limits = load_params(root / PARAMS_FILE).energy_report
    energy = read_json(root / energy_file)
    evaluation = read_json(root / evaluation_file)
    kept: list[str] = []
    broken: list[str] = []
    if limits.budget_nj is not None:
        energy_nj = _energy_nj(energy, energy_file)
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
        percent = number_in(evaluation, "test_accuracy_percent", evaluation_file)
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


def _energy_nj(energy: Mapping[str, Any], path: Path) -> float | None:
    """The energy of an inference, in nJ; None where nothing is priced."""
    if not energy.get("energy_high_nj"):
        return None
    name = "energy_high_nj" if energy.get("energy_nj") is None else "energy_nj"
    return number_in(energy, name, path)
