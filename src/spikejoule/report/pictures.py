"""The figures that the pipeline keeps beside its report."""

from spikejoule.data.images import subject_of_data
from spikejoule.evaluation.evaluation import EvaluationFiles
from spikejoule.model.trained import TrainedNetwork
from spikejoule.report import figures
from spikejoule.report.charts.raster import SpikeRaster


def pictures(
    network: TrainedNetwork,
    evaluation: EvaluationFiles,
    raster: SpikeRaster,
    sample: int,
    confidence: float,
) -> dict[str, bytes]:
    """PNG bytes by the name of the artifact.

    Args:
        network: whose training is drawn.
        evaluation: its answers on the test set.
        raster: the spikes of one test image.
        sample: which test image that is.
        confidence: level of the intervals.
    """
    title, subject = str(network.data["title"]), subject_of_data(network.data)
    return {
        "training_curves": figures.training_curves(
            network.history,
            network.architecture.layer_names,
            network.best_epoch,
            title,
            bool(network.data["validated_on_test"]),
        ),
        "spike_raster": figures.spike_raster(
            raster, f"{title}; test {raster.sample_word} {sample}"
        ),
        "confusion_figure": figures.confusion_matrix(evaluation.confusion.matrix, title, subject),
        "per_class_figure": figures.per_class_accuracy(
            evaluation.of_each_class, evaluation.overall, confidence, title, subject
        ),
    }
