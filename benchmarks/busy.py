"""An epoch of training with all threads, on an idle machine and beside busy processes.

The default job is trained by the event engine as the stage `train` does, with
`train.threads: 0`: first alone, then beside as many processes that never pause as there
are cores. A fair share is half of the machine then, so the fair time is twice that of
the idle machine. The median over epochs, the first of which is left out: in it the free
cores are counted.
"""

import argparse
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.images import ROOT, load_benchmark_images
from benchmarks.machine import cores, describe, positive
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.engine import engine_to_train
from spikejoule.network.network import Network
from spikejoule.params import load_params
from spikejoule.training.training import FreeCores, TrainingData, train

# What an epoch may take of the fair time.
MOST_OVER_FAIR = 1.5


# It ends with the process that started it, whatever ends that.
_BUSY = (
    "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(10**5))"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this case."""
    parser.add_argument("--epochs", type=positive, default=4, help="timed epochs (4)")
    parser.add_argument(
        "--allow-small", action="store_true", help="allow other data than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Both times, and the second over the fair one: the content of the file, and a
    line.
    """
    arrays, title = load_benchmark_images(arguments.allow_small)
    images = [_images(arrays, name) for name in ("train", "test")]
    idle = _epoch_seconds(*images, arguments.epochs)
    others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(cores())]
    try:
        beside = _epoch_seconds(*images, arguments.epochs)
    finally:
        for process in others:
            process.kill()
            process.wait()
    found = {
        "idle_seconds": idle,
        "beside_busy_seconds": beside,
        "busy_processes": len(others),
        "over_fair_time": beside / (2 * idle),
        "limit": MOST_OVER_FAIR,
    }
    line = (
        f"an epoch takes {idle:.2f} s alone, {beside:.2f} s beside {len(others)} "
        "busy processes: "
        f"{found['over_fair_time']:.2f} times the fair time; {MOST_OVER_FAIR} "
        "times is allowed"
    )
    return {**found, "machine": describe(cores()), "data": title}, line


def _images(arrays: dict[str, Any], name: str) -> LabelledImages:
    labels = arrays[f"{name}_labels"]
    return LabelledImages(arrays[f"{name}_images"], labels, np.arange(len(labels)))


def _epoch_seconds(
    samples: LabelledImages, validation: LabelledImages, epochs: int
) -> float:
    """The median over so many epochs of a training with all threads, after one that is
    left out.
    """
    params = load_params(ROOT / "params.yaml")
    settings = params.train.model_copy(
        update={"engine": "event", "max_epochs": epochs + 1}
    )
    encoder = params.encode.encoder
    network = Network.of_layers(samples.images[0].size, params.model.hidden, 10)
    engine, threads = engine_to_train(settings, network, settings, params.seed)
    events = encode_samples(encoder, validation, params.seed, "validation").events
    data = TrainingData(samples, encoder, events, validation.labels)
    cores_of = FreeCores(threads)
    calls = ("on_batch", "on_epoch", "on_resume")
    observer: Any = SimpleNamespace(**dict.fromkeys(calls, lambda *_: cores_of.use()))
    result = train(data, engine, settings, params.seed, (observer,))
    return float(np.median(result.epoch_seconds[1:]))
