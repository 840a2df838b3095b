"""The scikit-learn estimator: scikit-learn's own checks, and the pipeline as oracle."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from spikejoule import SpikingClassifier
from spikejoule.classifier.parameters import SECTIONS, parameters_of
from spikejoule.core.errors import ParameterError
from spikejoule.data.dataset import Dataset, split_validation
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.params import load_params
from tests.tools.finished_project import N_TEST, N_TRAIN, N_VALIDATION, finish_project
from tests.tools.pipeline_tools import artifact_paths

SMALL = {"hidden": 30, "max_epochs": 30}
IRIS = load_iris(return_X_y=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the best epoch is chosen on the training samples")
@parametrize_with_checks([SpikingClassifier(**SMALL)])
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    """All of them; none is expected to fail."""
    check(estimator)


def test_other_defaults_are_those_of_the_pipeline(repository: Path) -> None:
    ours = parameters_of(SpikingClassifier().get_params(), seed=0).flattened()
    theirs = load_params(repository / "params.yaml").flattened()
    differing = {
        key
        for key, value in theirs.items()
        if key.partition(".")[0] in SECTIONS and ours[key] != value
    }
    augmentation = {"shift_pixels", "rotate_degrees", "scale_fraction"}
    few_features = {"batch_size", "lr"}
    assert differing == {"encode.encoding", "encode.max_rate"} | {
        f"train.{key}" for key in augmentation | few_features
    }


# The pipeline on the same samples

SEED = 7
POISSON = {
    "encode.encoding": "poisson",
    "encode.max_rate": 80,
    "train.shift_pixels": 1,
    "train.rotate_degrees": 6.0,
    "train.scale_fraction": 0.06,
}
REGULAR = {
    "encode.encoding": "regular",
    "encode.max_rate": 200,
    "train.shift_pixels": 0,
    "train.rotate_degrees": 0.0,
    "train.scale_fraction": 0.0,
}


@dataclass(frozen=True)
class Both:
    """The estimator and the pipeline, trained on the same samples."""

    classifier: Any
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / artifact_paths(self.folder)[name]

    def metrics(self, name: str) -> dict[str, Any]:
        content = self.path(name).read_text(encoding="utf-8")
        metrics: dict[str, Any] = json.loads(content)
        return metrics


@pytest.fixture(scope="module", params=[POISSON, REGULAR], ids=["poisson", "regular"])
def both(
    request: pytest.FixtureRequest,
    repository: Path,
    mnist5k: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Both:
    """Poisson spikes of augmented images, and spikes without random draws."""
    parameters: dict[str, Any] = request.param
    first = mnist5k.train.select(slice(N_TRAIN + N_VALIDATION))
    first = replace(first, index=np.arange(len(first)))
    kept, validation = split_validation(first, 0.27, SEED)
    assert (len(kept), len(validation)) == (N_TRAIN, N_VALIDATION)
    order = np.concatenate([kept.index, validation.index])
    split = replace(mnist5k, train=first.select(order))
    folder = tmp_path_factory.mktemp("both") / "project"
    all_test = {"seed": SEED, "measure_inference.n_samples": "null"}
    finish_project(repository, split, folder, parameters | all_test, "price")

    augmentation = {
        key: value for key, value in parameters.items() if key.startswith("train.")
    }
    classifier = SpikingClassifier(
        hidden=16,
        encoding=parameters["encode.encoding"],
        time_window=12,
        max_rate=parameters["encode.max_rate"],
        threshold=0.3,
        max_epochs=2,
        batch_size=64,
        lr=0.003,
        validation_size=0.27,
        value_range=(0, 255),
        image_shape=(28, 28),
        parameters=augmentation | {"train.threads": 1},
        random_state=SEED,
    )
    # The pixels as another type of numbers, and labels of another type
    pixels = first.images.reshape(len(first), -1).astype(np.float32)
    return Both(classifier.fit(pixels, [f"a {k}" for k in first.labels]), folder)


class TestSameAsThePipeline:
    def test_weights(self, both: Both) -> None:
        ours = both.classifier.checkpoint_
        theirs = Checkpoint.read_trained(both.path("trained"))
        assert ours.state.keys() == theirs.state.keys()
        for name, weights in theirs.state.items():
            assert ours.state[name].tobytes() == weights.tobytes(), name
        assert ours.history == theirs.history
        assert ours.best_epoch == theirs.best_epoch
        described = {"spikejoule"}
        for section in theirs.content.keys() - described - {"optimizer_state_dict"}:
            if section != "model_state_dict":
                assert ours.content[section] == theirs.content[section], section

    def test_energy_of_training(self, both: Both) -> None:
        energy = both.classifier.energy_
        theirs = both.metrics("energy_metrics")
        low, high = energy.joules
        assert 1000 * low == pytest.approx(theirs["training_low_mj"], rel=1e-7)
        assert 1000 * high == pytest.approx(theirs["training_high_mj"], rel=1e-7)
        history = Checkpoint.read_trained(both.path("trained")).history
        assert energy.spikes == sum(sum(epoch.spikes) for epoch in history)
        events = [epoch.synaptic_events for epoch in history]
        assert energy.synaptic_events == np.sum(events)

        # By epoch, and by layer
        epochs = energy.epochs
        assert [*epochs["events_hidden_to_output"]] == [of[1] for of in events]
        assert [*epochs["spikes_input"]] == [epoch.spikes[0] for epoch in history]
        assert (epochs["joules_low"].iloc[-1], epochs["joules_high"].iloc[-1]) == (
            pytest.approx((low, high))
        )
        layers = energy.layers
        assert layers["spikes"].sum() == energy.spikes
        assert layers["events"].sum() == energy.synaptic_events
        of_engine = energy.training.under_headline[0][1]
        assert layers["joules_low"].sum() == pytest.approx(of_engine.low_pj / 1e12)
        assert layers["joules_high"].sum() == pytest.approx(of_engine.high_pj / 1e12)

    def test_energy_of_inference(self, both: Both, mnist5k: Dataset) -> None:
        """Without random draws, the spikes of test images are the pipeline's."""
        test = mnist5k.test.select(slice(N_TEST))
        pixels = test.images.reshape(N_TEST, -1)
        labels = [f"a {k}" for k in test.labels]
        report = both.classifier.price(pixels, labels)
        accuracy = 100 * both.classifier.score(pixels, labels)
        assert report.analysis.inputs.variant.test_percent == pytest.approx(accuracy)
        assert [f"a {k}" for k in report.predictions] == [
            *both.classifier.predict(pixels)
        ]
        if both.classifier.encoding == "poisson":
            return
        evaluated = both.metrics("evaluate_metrics")
        assert accuracy == pytest.approx(evaluated["test_accuracy_percent"])
        priced = both.metrics("energy_metrics")
        total = report.analysis.total()
        assert total.value_pj == pytest.approx(1000 * priced["energy_nj"], rel=1e-7)
        mean = report.activity.synaptic_events_per_inference
        assert mean == priced["synaptic_events_per_inference"]


class TestWithinScikitLearn:
    def test_a_pipeline_in_a_search(self) -> None:
        """The grid has numbers of NumPy, and parameters that are no arguments."""
        scaled = make_pipeline(MinMaxScaler(), SpikingClassifier(**SMALL))
        grid = {
            "spikingclassifier__hidden": np.array([20, 40]),
            "spikingclassifier__parameters": [None, {"train.label_smoothing": 0.0}],
            "spikingclassifier__random_state": [0],
        }
        search = GridSearchCV(scaled, grid, cv=2).fit(*IRIS)
        assert search.best_score_ > 0.75
        assert len(search.cv_results_["params"]) == 4
        assert search.best_estimator_[-1].energy_.joules.low > 0

    def test_cross_validation_repeats_itself(self) -> None:
        classifier = SpikingClassifier(**SMALL, random_state=1)
        scores = [cross_val_score(classifier, *IRIS, cv=2) for _ in range(2)]
        np.testing.assert_array_equal(*scores)
        assert scores[0].mean() > 0.7

    def test_random_state(self) -> None:
        def first_weights(random_state: Any) -> bytes:
            classifier = SpikingClassifier(5, max_epochs=1, random_state=random_state)
            weights = classifier.fit(*IRIS).checkpoint_.state
            return next(iter(weights.values())).tobytes()

        draws = np.random.RandomState(3)
        assert first_weights(draws) != first_weights(draws)
        assert first_weights(None) != first_weights(None)
        assert first_weights(np.int64(3)) == first_weights(3)


def test_the_report_of_the_training(tmp_path: Path) -> None:
    energy = SpikingClassifier(**SMALL, random_state=0).fit(*IRIS).energy_
    lines = dict(line.split("  ", 1) for line in str(energy).splitlines())
    assert "under lemaire-complete" in lines["energy of training"]
    assert lines["samples"].strip() == "135 in each of 30 epochs"
    assert lines["synaptic events"].strip() == f"{energy.synaptic_events:,} forward"
    energy.save(tmp_path / "training.html")
    page = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert "4-30-3" in page
    assert "for 30 epochs and 4,050 samples" in page


def test_convolutions_and_integers_on_images(mnist5k: Dataset) -> None:
    images = mnist5k.train.images[:200]
    labels = mnist5k.train.labels[:200]
    pixels = images.reshape(200, -1)
    shape = {"image_shape": (28, 28), "time_window": 10, "max_epochs": 1}
    convolutional = SpikingClassifier(layers=["4c5s3", 20], **shape)
    network = convolutional.fit(pixels, labels).checkpoint_.network
    assert network.words == ("4c5s3", "20")
    integers = SpikingClassifier(20, weight_bits=4, **shape).fit(pixels, labels)
    assert integers.checkpoint_.network.weight_bits == 4
    assert integers.energy_.joules is not None


def test_random_spikes_of_a_sample_do_not_depend_on_its_position() -> None:
    classifier = SpikingClassifier(**SMALL, encoding="poisson", random_state=0)
    whole = classifier.fit(*IRIS).predict_proba(IRIS[0])
    assert len(np.unique(whole, axis=0)) > 10
    backwards = classifier.predict_proba(IRIS[0][::-1])
    np.testing.assert_array_equal(backwards[::-1], whole)


def test_a_sample_far_outside_the_range_is_clipped() -> None:
    classifier = SpikingClassifier(**SMALL, random_state=0).fit(*IRIS)
    assert tuple(classifier.value_range_) == (IRIS[0].min(), IRIS[0].max())
    inside = np.array([[classifier.value_range_.high] * 4])
    np.testing.assert_array_equal(
        classifier.predict_proba(1000 * inside), classifier.predict_proba(inside)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": 0}, "train.lr: 0 is not allowed; allowed: greater than 0"),
        ({"hidden": 0}, "model.hidden: 0 is not allowed; allowed: a whole number"),
        ({"random_state": -1}, "random_state: -1 is not allowed"),
        ({"validation_size": 0.9}, "validation_size: 0.9 is not allowed"),
        ({"value_range": (1, 1)}, "value_range: .* with low below high"),
        ({"image_shape": (2, 3)}, "image_shape: .* whose product is 4"),
        ({"encoding": "none"}, "encode.encoding: 'none' is not allowed"),
        ({"layers": ["40r"], "weight_bits": 4, "encoding": "direct"}, "direct"),
        ({"parameters": {"train.lr": 1}}, "'train.lr' is not allowed; .*no arguments"),
        ({"parameters": {"data.source": "mnist"}}, "'data.source' is not allowed"),
        ({"parameters": {"train.patiance": 1}}, "did you mean patience"),
        ({"parameters": {"train.shift_pixels": 1}}, "image_shape: .*shift_pixels"),
    ],
)
def test_parameters_that_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        SpikingClassifier(**arguments).fit(*IRIS)


def test_samples_that_are_refused() -> None:
    X, y = IRIS
    with pytest.raises(ValueError, match="y has 1 class; allowed are 2 to 256 classes"):
        SpikingClassifier().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        SpikingClassifier().fit(np.full_like(X, np.nan), y)
    few = X[[0, 60, 120]]
    with pytest.warns(
        UserWarning, match="best epoch is chosen on the training samples"
    ):
        classifier = SpikingClassifier(**SMALL).fit(few, ["x", "y", "z"])
    with pytest.raises(ValueError, match="y has the class w, which is not one"):
        classifier.price(few, ["x", "y", "w"])


@pytest.mark.parametrize(
    ("missing", "extra"), [("sklearn", "pipeline"), ("torch", "torch")]
)
def test_an_import_names_the_extra_that_it_needs(missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import spikejoule\n"
    code += "spikejoule.SpikingClassifier"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = f"spikejoule.SpikingClassifier needs {missing}: "
    assert f"{said}pip install 'spikejoule[{extra}]', or " in done.stderr
