"""The files of an evaluation as a whole: they agree with each other and with what they are of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.early_exit_files import EarlyExitFile, StepTable
from spikejoule.evaluation.evaluation import Accuracy, Evaluation
from spikejoule.evaluation.evaluation_tables import Confusion, EvaluationMetrics, PerClass
from spikejoule.evaluation.step_outcomes import AccuracyByStep


@dataclass(frozen=True, eq=False)
class EvaluationFiles:
    """What an evaluation writes, and the energy report reads; the files agree with each other.

    Attributes:
        metrics: the headline figures.
        per_class: accuracy of each class.
        confusion: images by actual and predicted class.
        by_step: accuracy at each step of the window.
        early_exit: answering early, by either rule.
    """

    metrics: EvaluationMetrics
    per_class: PerClass
    confusion: Confusion
    by_step: StepTable
    early_exit: EarlyExitFile

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        by_step: AccuracyByStep,
        early: EarlyExit,
        data: Mapping[str, Any],
    ) -> Self:
        """The files of an evaluation on the test images; `data` is the content of data.json."""
        return cls(
            EvaluationMetrics.of(evaluation.overall, early, data["source"]),
            PerClass.of(evaluation.per_class),
            Confusion.of(evaluation.confusion),
            StepTable.of(by_step),
            EarlyExitFile.of(early, bool(data["validated_on_test"])),
        )

    def write(self, paths: Mapping[str, Path]) -> None:
        """Write the five files that `read_evaluation` reads."""
        self.metrics.write(paths["evaluate_metrics"])
        self.per_class.write(paths["per_class"])
        self.confusion.write(paths["confusion"])
        self.by_step.write(paths["accuracy_by_step"])
        self.early_exit.write(paths["early_exit"])

    @property
    def n_samples(self) -> int:
        """Number of test images."""
        return int(self.confusion.matrix.sum())

    @property
    def overall(self) -> Accuracy:
        """Accuracy over all test images."""
        return Accuracy(
            self.n_samples,
            int(np.trace(self.confusion.matrix)),
            self.metrics.test_accuracy_percent,
            self.metrics.test_accuracy_low_percent,
            self.metrics.test_accuracy_high_percent,
        )

    @property
    def of_each_class(self) -> tuple[Accuracy, ...]:
        """Accuracy of each class's test images."""
        matrix = self.confusion.matrix
        return tuple(
            Accuracy(
                row.n_samples,
                int(matrix[row.label, row.label]),
                row.accuracy_percent,
                row.accuracy_low_percent,
                row.accuracy_high_percent,
            )
            for row in self.per_class.rows
        )

    def as_checkpoint_entry(self, confidence: float) -> dict[str, Any]:
        """What the complete checkpoint says of the test set; intervals have this confidence."""
        return {
            **self.metrics.model_dump(),
            "confidence": confidence,
            "n_samples": self.n_samples,
            "per_class": {str(row.label): row.accuracy_percent for row in self.per_class.rows},
        }


def read_evaluation(
    paths: Mapping[str, Path], labels: NDArray[np.uint8], n_steps: int
) -> EvaluationFiles:
    """Read `evaluate_metrics`, `per_class`, `confusion`, `accuracy_by_step` and `early_exit`.

    Args:
        paths: by these names; and `test`, the file of the test images.
        labels: of the test images, [N].
        n_steps: of the window.

    Raises:
        ArtifactError: a file is missing or damaged, tells of another evaluation than the confusion
            matrix, or of other images or another window.
    """
    files = EvaluationFiles(
        EvaluationMetrics.read(paths["evaluate_metrics"]),
        PerClass.read(paths["per_class"]),
        Confusion.read(paths["confusion"]),
        StepTable.read(paths["accuracy_by_step"]),
        EarlyExitFile.read(paths["early_exit"]),
    )
    if len(files.per_class.rows) != len(files.confusion.matrix):
        raise ArtifactError(
            f"{paths['per_class']} has {len(files.per_class.rows)} classes and "
            f"{paths['confusion']} {len(files.confusion.matrix)}: run the evaluate stage again."
        )
    stated = {
        "evaluate_metrics": files.metrics.test_accuracy_percent,
        "accuracy_by_step": files.by_step.rows[-1].accuracy_percent,
        "early_exit": files.early_exit.whole_window.test.accuracy_percent,
    }
    for name, percent in stated.items():
        _check_agreement(paths[name], files.overall, percent, paths["confusion"])
    for accuracy, n_images in zip(
        files.of_each_class, files.confusion.matrix.sum(axis=1).tolist(), strict=True
    ):
        if accuracy.n_samples != n_images:
            raise ArtifactError(
                f"{paths['per_class']} and {paths['confusion']} count different samples of the "
                "classes: run the evaluate stage again."
            )
        if accuracy.percent is not None:
            _check_agreement(paths["per_class"], accuracy, accuracy.percent, paths["confusion"])
    _check_images(files, paths, labels, n_steps)
    return files


def _check_images(
    files: EvaluationFiles,
    paths: Mapping[str, Path],
    labels: NDArray[np.uint8],
    n_steps: int,
) -> None:
    """Raise ArtifactError unless the evaluation is of these images and of this window."""
    counted = [row.n_samples for row in files.per_class.rows]
    of_each_class = np.bincount(labels, minlength=len(counted)).tolist()
    if counted != of_each_class:
        raise ArtifactError(
            f"{paths['per_class']} counts {counted} samples of the classes, but {paths['test']} "
            f"holds {of_each_class}: run the evaluate stage again."
        )
    if len(files.by_step.rows) != n_steps:
        raise ArtifactError(
            f"{paths['accuracy_by_step']} has {len(files.by_step.rows)} steps, but the window has "
            f"{n_steps}: run the evaluate stage again."
        )


def _check_agreement(path: Path, accuracy: Accuracy, percent: float, confusion: Path) -> None:
    counted = 100 * accuracy.n_correct / accuracy.n_samples
    if percent != counted:
        raise ArtifactError(
            f"{path} gives an accuracy of {percent} %, but by {confusion} it is {counted} %: run "
            "the evaluate stage again."
        )
