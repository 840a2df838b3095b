"""Images a second of `mlflow models serve`, through HTTP (`python -m benchmarks.serving`).

What is measured
    A model of the checkpoint is saved as `publish` saves it and served by `mlflow models serve` on
    the loopback interface, in a process of its own. C clients send requests of N test images each,
    one after the other over a connection kept open; the clock runs from the first request to the
    last answer. The text of a request is made beforehand; what the clients do (send it and receive
    the answer) runs on the same cores. One request that is not timed goes before each row.

What is reported
    Median and best over rounds, for images as lists of numbers and as base64, and the server's
    largest resident memory so far. The machine's load before and after stands beside them: with
    more than about 0.5 before, the figures are the neighbours' as much as ours.
"""

import argparse
import base64
import http.client
import json
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

from benchmarks import images, machine
from benchmarks.memory import peak_bytes_of
from benchmarks.summary import BYTES_PER_MIB
from spikejoule.core.errors import SpikejouleError
from spikejoule.energy.profile_files import PACKAGED
from spikejoule.model.checkpoint import read_complete

HOST = "127.0.0.1"
PROFILE = "45nm-fp32"
START_SECONDS = 120.0
FORMS = ("lists", "base64")


def serve_command(folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    """The command that serves the model in `folder`, and its environment."""
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)),
        *("--env-manager", "local", "--host", HOST, "--port", str(port)),
    ]
    # Beside this interpreter lies the server that MLflow starts by name. The code is the model's.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    return command, environment


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """A server of the model in `folder`: its port, and the id of the process that answers.

    Raises SpikejouleError if it ends or does not answer in time.
    """
    with socket.socket() as found:
        found.bind((HOST, 0))
        port = found.getsockname()[1]
    command, environment = serve_command(folder, port)
    log = folder.with_name("server.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SpikejouleError(f"the server does not answer: {log.read_text()[-500:]}")
            time.sleep(0.2)
        yield port, psutil.Process(process.pid).children(recursive=True)[-1].pid
    finally:
        for running in [*psutil.Process(process.pid).children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                running.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def body_of(chosen: np.ndarray, form: str) -> bytes:
    """The text of a request for the images, uint8 [N, height, width]."""
    if form == "lists":
        return json.dumps({"inputs": chosen.tolist()}).encode()
    texts = [base64.b64encode(image.tobytes()).decode() for image in chosen]
    return json.dumps({"inputs": texts}).encode()


def ask(port: int, body: bytes, requests: int) -> int:
    """Send the request some times over one connection; the number of rows that came back."""
    connection = http.client.HTTPConnection(HOST, port)
    rows = 0
    for _ in range(requests):
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise SpikejouleError(f"the server answered {reply.status}: {text[:500]!r}")
        rows += text.count(b'"synaptic_events"')
    connection.close()
    return rows


def rounds_of(port: int, body: bytes, clients: int, arguments: argparse.Namespace) -> list[float]:
    """Images a second in each round."""
    speeds = []
    ask(port, body, 1)
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            work = [pool.submit(ask, port, body, arguments.requests) for _ in range(clients)]
            rows = sum(one.result() for one in work)
            speeds.append(rows / (time.perf_counter() - began))
    return speeds


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description="Measure the images a second of `mlflow models serve`.",
    )
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("models/surrogate_snn_checkpoint.pth")
    )
    parser.add_argument("--images", type=int, default=1000, help="of one request (1000)")
    parser.add_argument("--requests", type=int, default=20, help="of a client and round (20)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2], help="at once (1 and 2)")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--allow-small", action="store_true", help="allow other data than MNIST")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print; raises SpikejouleError for a checkpoint or data that are not there."""
    from spikejoule.tracking import ModelFiles
    from spikejoule.tracking.served_model import save_served_model

    read_complete(arguments.checkpoint)
    _, test, title = images.load_benchmark_images(
        images.project_root(), os.environ, arguments.allow_small
    )
    chosen = test.images[np.arange(arguments.images) % len(test)]
    load = os.getloadavg()[0]
    print(f"{machine.processor()}, {machine.cores()} cores; {title}; load before: {load:.1f}")
    print(f"{'form':8}{'clients':>8}{'MiB':>6}{'median':>10}{'best':>10}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, "model")
        save_served_model(folder, ModelFiles(arguments.checkpoint, PACKAGED, PROFILE))
        with served(folder) as (port, process):
            for form in arguments.forms:
                body = body_of(chosen, form)
                for clients in arguments.clients:
                    speeds = rounds_of(port, body, clients, arguments)
                    peak = peak_bytes_of(process)
                    print(
                        f"{form:8}{clients:>8}{len(body) / BYTES_PER_MIB:>6.1f}"
                        f"{statistics.median(speeds):>10,.0f}{max(speeds):>10,.0f}"
                        f"{'?' if peak is None else round(peak / BYTES_PER_MIB):>10}",
                        flush=True,
                    )
    print(f"load after: {os.getloadavg()[0]:.1f}")


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        run(parse(sys.argv[1:]))
    except SpikejouleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
