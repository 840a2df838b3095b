"""Training as a scikit-learn estimator: the pipeline's own, from arrays.

    classifier = spikejoule.SpikingClassifier(random_state=0).fit(X, y)
    classifier.predict(X_test)
    print(classifier.energy_)                  # joules, spikes, events of the training
    print(classifier.price(X_test, y_test))    # joules of an inference

Samples become images, of one row unless they have a shape. Splitting, encoding,
training, checkpoint, counts and prices are those of the pipeline.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch  # noqa: F401 (training imports it late; without it, this module fails)
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.extmath import softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from spikejoule.classifier.parameters import parameters_of
from spikejoule.classifier.pipeline import measured, priced, split, trained_on
from spikejoule.classifier.samples import ValueRange, as_images, range_of
from spikejoule.classifier.training_report import TrainingReport
from spikejoule.data.images import LabelledImages
from spikejoule.data.subject import MAX_CLASSES, Subject
from spikejoule.pricing.report import Report


class SpikingClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A spiking network as a scikit-learn classifier, with the joules of its training.

    The same parameters, samples and seed give the same weights as the pipeline, bit by
    bit. The defaults suit few features; those of params.yaml suit images.

    X [n, features] holds any finite numbers. One range for all features, that of the
    training samples, becomes intensities from 0 to 1 in 256 levels; later values
    outside it are clipped. Scale features of unlike units first, for example with
    `MinMaxScaler` in a `Pipeline`. Random spikes follow from the seed: in training from
    the position of a sample in X, as in the pipeline; later from its intensities, so
    that a sample gets the same spikes at any position.

    Args:
        hidden, layers, threshold, decay, weight_bits: the network, as in params.yaml.
        encoding, time_window, max_rate: how intensities become spikes, as there.
        max_epochs, batch_size, lr, spike_penalty: the training, as there.
        validation_size: fraction of the samples, 0 to 0.5, that are set apart to choose
            the best epoch; 0 chooses it on the training samples.
        value_range: the values (low, high) that become intensities 0 and 1, such as
            (0, 255) for pixels; None for the range of the training samples.
        image_shape: (height, width) of samples that are images, needed for convolutions
            and augmentation; None for others.
        parameters: further parameters by full key, such as ``{"train.patience": 5}``;
            augmentation is off unless it is among them.
        random_state: the seed, an integer; a `RandomState` draws it, None draws anew.

    Attributes:
        classes_: the classes, [C], 2 to 256 of them.
        n_features_in_: number of features.
        value_range_: the values (low, high) that become intensities 0 and 1.
        checkpoint_: the trained network; ``checkpoint_.write(path)`` saves the file
            that `spikejoule energy` and `Checkpoint.read` read.
        energy_: the report of the training, a `TrainingReport`.

    Raises:
        ParameterError: in `fit`, for parameters that are not allowed.
        ValueError: X or y are not what scikit-learn allows, or y has one class or more
            than 256.
    """

    def __init__(
        self,
        hidden: int | Sequence[int] = 400,
        *,
        layers: Sequence[str | int] | None = None,
        encoding: str = "regular",
        time_window: int = 50,
        max_rate: float = 500.0,
        threshold: float | Sequence[float] = 1.0,
        decay: float | Sequence[float] = 0.9,
        weight_bits: int = 32,
        max_epochs: int = 70,
        batch_size: int = 32,
        lr: float = 0.01,
        spike_penalty: float | Sequence[float] = 0.0,
        validation_size: float = 0.1,
        value_range: tuple[float, float] | None = None,
        image_shape: tuple[int, int] | None = None,
        parameters: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.layers = layers
        self.encoding = encoding
        self.time_window = time_window
        self.max_rate = max_rate
        self.threshold = threshold
        self.decay = decay
        self.weight_bits = weight_bits
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.spike_penalty = spike_penalty
        self.validation_size = validation_size
        self.value_range = value_range
        self.image_shape = image_shape
        self.parameters = parameters
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on samples X [n, features] of the classes y [n]."""
        values, classes = validate_data(self, X, y)
        check_classification_targets(classes)
        self.classes_, labels = np.unique(classes, return_inverse=True)
        n_classes = len(self.classes_)
        if not 2 <= n_classes <= MAX_CLASSES:
            raise ValueError(
                f"y has {n_classes} class{'es' if n_classes > 1 else ''}; allowed are "
                f"2 to {MAX_CLASSES} classes"
            )
        params = parameters_of(self.get_params(deep=False), self._seed())
        self.value_range_ = ValueRange(*(params.value_range or range_of(values)))
        images = as_images(self.value_range_.levels(values), self.image_shape)
        names = tuple(str(name) for name in self.classes_)
        samples = LabelledImages(
            images,
            labels.astype(np.uint8),
            np.arange(len(images)),
            Subject("class", names, "samples"),
        )
        kept, validation = split(samples, params)
        self.checkpoint_ = trained_on(kept, validation, params)
        levels = validation.images.reshape(len(validation), -1)
        measurement = measured(self.checkpoint_, levels)
        analysis = priced(self.checkpoint_, levels, measurement, validation.labels)
        self.energy_ = TrainingReport(analysis)
        return self

    def _seed(self) -> int:
        """Return the seed: `random_state`, or a draw from it."""
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class with the highest score, the first among equals.

        Scores are output spikes, unless `model.readout` is another.
        """
        levels = self._levels(X)
        measurement = measured(self.checkpoint_, levels)
        classes: NDArray[Any] = self.classes_[measurement.predictions]
        return classes

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities [n, C] that training compares with the classes."""
        levels = self._levels(X)
        measurement = measured(self.checkpoint_, levels)
        scale = self.checkpoint_.training_config["logit_scale"]
        probabilities: NDArray[np.float64] = softmax(scale * measurement.scores)
        return probabilities

    def price(self, X: ArrayLike, y: ArrayLike | None = None) -> Report:
        """Count and price an inference on samples, as `spikejoule.price` does.

        Args:
            X: the samples, [n, features].
            y: their classes, [n]; None if unknown.

        Returns:
            the report: print it, or see its `table`, `save` and `check`.

        Raises:
            ValueError: X or y are not what scikit-learn allows, or a class in y is not
                one of `classes_`.
        """
        levels = self._levels(X)
        labels = None if y is None else self._labels(y, len(levels))
        measurement = measured(self.checkpoint_, levels)
        analysis = priced(self.checkpoint_, levels, measurement, labels)
        return Report(
            analysis,
            analysis.inputs.activity,
            measurement.predictions,
            own_not_counted=(),
            scores=measurement.scores.astype(np.float64),
        )

    def _levels(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Return samples as levels of intensity, uint8 [n, features]."""
        check_is_fitted(self)
        return self.value_range_.levels(validate_data(self, X, reset=False))

    def _labels(self, y: ArrayLike, n_samples: int) -> NDArray[np.int64]:
        """Return classes as positions in `classes_`."""
        classes = column_or_1d(y, warn=True)
        check_consistent_length(classes, np.empty(n_samples))
        unknown = np.setdiff1d(classes, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y has the class {unknown[0]}, which is not one of classes_"
            )
        labels: NDArray[np.int64] = np.searchsorted(self.classes_, classes)
        return labels
