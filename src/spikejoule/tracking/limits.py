"""Whether a project's recorded run keeps to the limits that its params.yaml sets."""

import contextlib
from pathlib import Path

from spikejoule.core.errors import LimitError, ParameterError
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.energy.tables import EnergyMetrics
from spikejoule.evaluation.evaluation import EvaluationMetrics
from spikejoule.params import EnergyReportParams, load_params
from spikejoule.tracking.project import check_against_lock

_FILES = ("energy_metrics", "evaluate_metrics")


def check_limits(root: Path) -> str:
    """Hold the metrics that dvc.lock records against the limits of params.yaml.

    Energy is that of the counted operations under the profile of the metrics, per inference over
    the whole window: the mean, or the upper end where the profile has brackets alone. What the
    profile has no price for is not in it.

    Args:
        root: of the project.

    Returns:
        what was kept, in a sentence.

    Raises:
        LimitError: a limit is exceeded; one sentence for each.
        ParameterError: no limit is set.
        ArtifactError: there are no metrics, or they are not those of dvc.lock.
    """
    artifact_paths(root)  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        limits = load_params(PARAMS_FILE).energy_report
        if limits.budget_nj is None and limits.min_accuracy_percent is None:
            raise ParameterError(
                "nothing to check: energy_report.budget_nj and energy_report.min_accuracy_percent "
                "are null in params.yaml; set one of them."
            )
        paths = artifact_paths(Path())
        check_against_lock([paths[name] for name in _FILES], root)
        energy = EnergyMetrics.read(paths["energy_metrics"])
        evaluated = EvaluationMetrics.read(paths["evaluate_metrics"])
    return _verdict(limits, energy, evaluated.test_accuracy_percent)


def _verdict(limits: EnergyReportParams, energy: EnergyMetrics, accuracy: float) -> str:
    kept: list[str] = []
    broken: list[str] = []
    if limits.budget_nj is not None:
        mean = energy.energy_per_inference_pj
        spent = (energy.energy_per_inference_high_pj if mean is None else mean) / 1000
        what = f"an inference takes {spent:.10g} nJ under {energy.profile}"
        allowed = f"energy_report.budget_nj is {limits.budget_nj:.10g}"
        (kept if spent <= limits.budget_nj else broken).append(f"{what}; {allowed}")
    if limits.min_accuracy_percent is not None:
        what = f"the test accuracy is {accuracy:.10g} %"
        allowed = f"energy_report.min_accuracy_percent is {limits.min_accuracy_percent:.10g}"
        enough = accuracy >= limits.min_accuracy_percent
        (kept if enough else broken).append(f"{what}; {allowed}")
    if broken:
        raise LimitError("\n".join(f"{sentence}." for sentence in broken))
    return "\n".join(f"{sentence}." for sentence in kept)
