"""Images: their files, sources and split; and the stage prepare."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import DataError
from spikejoule.core.store import read_json
from spikejoule.data.dataset import Dataset, split_validation
from spikejoule.data.idx import load_directory, read_idx
from spikejoule.data.images import LabelledImages, load_images
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset
from spikejoule.params import parse_params
from stages import prepare
from tests.tools.committed import committed_params
from tests.tools.sensor_files import encode_idx, write_idx_files


def digits(n_samples: int) -> LabelledImages:
    random = np.random.default_rng(0)
    return LabelledImages(
        random.integers(0, 256, (n_samples, 28, 28), dtype=np.uint8),
        (np.arange(n_samples) % 10).astype(np.uint8),
        np.arange(n_samples, dtype=np.int64),
    )


@pytest.fixture
def idx_directory(tmp_path: Path) -> Path:
    """Forty training and twenty test images as four IDX files, one of them unpacked."""
    directory = tmp_path / "digits"
    directory.mkdir()
    train, test = digits(40), digits(20)
    write_idx_files(directory, (train.images, train.labels), (test.images, test.labels))
    packed = directory / "train-images-idx3-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return directory


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:11], "damaged"),
        (lambda content: content[:799], "fewer or more"),
        (lambda content: content + b"\0", "fewer or more"),
        (
            lambda content: bytes.fromhex("00000803" + "00100000" * 3),
            "fewer or more",
        ),
        (lambda content: b"\x89PNG" + content, "begins with the bytes 00 00 08 03"),
    ],
    ids=["header cut", "cut", "longer", "announces too much", "another format"],
)
def test_a_damaged_idx_file_is_refused(tmp_path: Path, damage, words: str) -> None:
    content = damage(encode_idx(digits(1).images))
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    for name in ("a", "a.gz"):
        with pytest.raises(DataError, match=f"{tmp_path / name}.*{words}"):
            read_idx(tmp_path / name, 3)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(DataError, match="a.gz is damaged"):
        read_idx(tmp_path / "a.gz", 3)


class TestDirectory:
    def test_plain_and_gzipped_files(
        self, idx_directory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        places = Places(idx_directory.parent, idx_directory / "cache")
        dataset = load_dataset("digits", places)  # relative to the project
        np.testing.assert_array_equal(dataset.train.images, digits(40).images)
        np.testing.assert_array_equal(dataset.test.labels, digits(20).labels)
        assert dataset.title == "IDX directory digits (not MNIST)"
        assert "40 training and 20 test images" in dataset.note
        assert "not MNIST" in caplog.text
        name = "train-images-idx3-ubyte"
        digest = hashlib.sha256((idx_directory / name).read_bytes()).hexdigest()
        assert dataset.sha256[name] == digest

    @pytest.mark.parametrize(
        ("name", "array", "words"),
        [
            ("train-images-idx3", None, "lacks train-images-idx3-ubyte"),
            ("train-labels-idx1", digits(39).labels, "'labels' has the shape .*39"),
            ("train-labels-idx1", np.full(40, 10), "position 0 is 10"),
            (
                "train-images-idx3",
                np.zeros((40, 32, 30)),
                r"\(32, 30\) pixels and test images",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, idx_directory: Path, name: str, array: np.ndarray | None, words: str
    ) -> None:
        for path in idx_directory.glob(f"{name}*"):
            path.unlink()
        if array is not None:
            (idx_directory / f"{name}-ubyte").write_bytes(
                encode_idx(array.astype(np.uint8))
            )
        with pytest.raises(DataError, match=words):
            load_directory(idx_directory)

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError, match="is not a directory; allowed: auto, events, fashion"
        ):
            load_dataset("nowhere", Places(tmp_path, tmp_path / "cache"))


def test_mnist5k_takes_digits_in_turns_from_the_package(mnist5k: Dataset) -> None:
    """The package's file is sorted by digit."""
    images = np.empty((5000, 28, 28), np.uint8)
    for samples, n_per_digit in ((mnist5k.train, 400), (mnist5k.test, 100)):
        assert isinstance(samples, LabelledImages)
        assert samples.labels.tolist() == [*range(10)] * n_per_digit
        assert (samples.index // 500).tolist() == samples.labels.tolist()
        images[samples.index] = samples.images
    digest = "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"
    assert hashlib.sha256(images.tobytes()).hexdigest() == digest
    assert mnist5k.sha256["mnist5k-images-uint8"] == digest


class TestSplit:
    @pytest.mark.parametrize(("size", "seed"), [(0.2, 0), (0.5, 2**32 - 1)])
    def test_disjoint_stratified_and_whole(self, size: float, seed: int) -> None:
        samples = digits(300)
        train, validation = split_validation(samples, size, seed)
        together = np.concatenate([train.index, validation.index])
        assert sorted(together) == [*range(300)]
        assert np.bincount(validation.labels).tolist() == [int(30 * size)] * 10
        for part in (train, validation):
            np.testing.assert_array_equal(part.labels, samples.labels[part.index])

    def test_too_few_images(self) -> None:
        with pytest.raises(DataError, match=r"data.validation_size: .* every digit"):
            split_validation(digits(15), 0.1, 0)


def test_a_file_of_images_returns_them(tmp_path: Path) -> None:
    samples = digits(30).select(np.array([4, 2, 9]))
    samples.save(tmp_path / "a.npz")
    read = load_images(tmp_path / "a.npz")
    for name in ("images", "labels", "index"):
        np.testing.assert_array_equal(getattr(read, name), getattr(samples, name))


def test_prepare_reads_mnist_dir_and_may_validate_on_the_test_set(
    tmp_path: Path,
    idx_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ("train", "validation", "test", "data_metrics")
    paths = {name: tmp_path / "out" / name for name in names}
    parameters = committed_params().model_dump(mode="json")
    monkeypatch.setenv("MNIST_DIR", str(idx_directory))
    parameters["data"].update(source="auto", validation_size=0.25)
    prepare.main(paths, parse_params(parameters))
    assert read_json(paths["data_metrics"])["counts"]["validation"] == 10
    parameters["data"].update(source=str(idx_directory), validation_size=0)
    prepare.main(paths, parse_params(parameters))
    assert "chosen on the test set" in caplog.text
    assert read_json(paths["data_metrics"])["validated_on_test"] is True
    assert paths["validation"].read_bytes() == paths["test"].read_bytes()
