"""The model that MLflow loads and serves: the pipeline's numbers, nothing pickled."""

import base64
import http.client
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from spikejoule.core import torch_files
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.energy.prices import PACKAGED
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.tracking.served_folder import SERVER, ModelFiles, save_served_model
from spikejoule.tracking.server import JSON, MAX_BYTES, answer_to
from tests import naive
from tests.tools.examples import complete_content, trained_network, write_example
from tests.tools.pipeline_tools import run
from tests.tools.services import LOOPBACK, answers, free_port, running
from tests.tools.settings import draw_key, encode

ARITHMETIC = "45nm-fp32"
MEMORY = "45nm-memory"
SEED = 7  # of the example's encoding
T = 50
HIDDEN = 20
OUTPUT = 10


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Six images of 8 bits, half of them dark."""
    generator = np.random.default_rng(3)
    drawn = generator.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    drawn[generator.random(drawn.shape) < 0.8] = 0
    return drawn


@pytest.fixture(scope="module")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_example(
        tmp_path_factory.mktemp("checkpoint, with 100 % odd name") / "snn.pth"
    )


@pytest.fixture(scope="module")
def folder(
    checkpoint_path: Path, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A saved model, with the image 3 as an example."""
    target = tmp_path_factory.mktemp("model") / "saved"
    files = ModelFiles(checkpoint_path, PACKAGED, ARITHMETIC, example=images[3])
    save_served_model(target, files, "a-run")
    return target


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return mlflow.pyfunc.load_model(str(folder))


class TestAnswer:
    def test_spikes_and_class_are_those_of_plain_loops(
        self, model: Any, checkpoint_path: Path, images: np.ndarray
    ) -> None:
        checkpoint = Checkpoint.read(checkpoint_path)
        inputs = encode(images, T, 80.0, draw_key(SEED, "test", 0)).to_dense(np.int64)
        rows = model.predict(images)
        assert model.metadata.signature.outputs.input_names() == [*rows]
        for row, spikes in zip(rows.to_dict("records"), inputs, strict=True):
            (_, hidden), (_, output) = naive.forward(
                checkpoint.state, spikes.tolist(), naive.Neuron(1.0, 0.9)
            )
            votes = np.sum(output, axis=0)
            assert row["spikes_input"] == spikes.sum()
            assert row["spikes_hidden"] == np.sum(hidden)
            assert row["spikes_output"] == votes.sum()
            assert row["class"] == votes.argmax()
        events = HIDDEN * rows["spikes_input"] + OUTPUT * rows["spikes_hidden"]
        assert rows["synaptic_events"].tolist() == events.tolist()
        # an addition an event, and a multiplication and an addition a neuron and step
        expected = 0.9 * events + (3.7 + 0.9) * T * (HIDDEN + OUTPUT)
        for name in ("energy_pj", "energy_low_pj", "energy_high_pj"):
            np.testing.assert_allclose(rows[name], expected, rtol=1e-12)

    def test_the_example_is_the_image_in_base64(
        self, images: np.ndarray, model: Any
    ) -> None:
        assert model.predict(model.input_example).equals(model.predict(images[3:4]))

    def test_a_bracket_has_no_middle(self, model: Any, images: np.ndarray) -> None:
        rows = model.predict(images, params={"profile": MEMORY})
        assert rows["energy_pj"].tolist() == [None] * len(images)
        assert (rows["energy_low_pj"] < rows["energy_high_pj"]).all()

    def test_a_constant_current(self, tmp_path: Path, images: np.ndarray) -> None:
        network = replace(trained_network(), encoder=Direct(time_window=T))
        content = complete_content(network)
        content["energy_proxies"]["input_macs_per_inference"] = 1.0
        torch_files.write(tmp_path / "c.pth", content)
        files = ModelFiles(tmp_path / "c.pth", PACKAGED, ARITHMETIC, example=images[0])
        save_served_model(tmp_path / "saved", files, "a-run")
        model = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
        rows = model.predict(images)
        macs = HIDDEN * np.count_nonzero(images, axis=(1, 2))
        assert rows["spikes_input"].tolist() == [0] * 6
        assert rows["input_macs"].tolist() == macs.tolist()
        assert model.metadata.signature.outputs.input_names() == [*rows]
        events = OUTPUT * rows["spikes_hidden"]
        expected = 4.6 * macs + 0.9 * events + (3.7 + 0.9) * T * (HIDDEN + OUTPUT)
        np.testing.assert_allclose(rows["energy_pj"], expected, rtol=1e-12)

    def test_spikes_depend_on_seed_and_position_but_not_on_form_or_batch(
        self, model: Any, images: np.ndarray
    ) -> None:
        own = model.predict(images)
        texts = [base64.b64encode(image.tobytes()).decode() for image in images]
        for same in (images.reshape(6, 784), images.astype(object), np.array(texts)):
            assert model.predict(same).equals(own)
        assert model.predict(images, params={"seed": SEED}).equals(own)
        assert not model.predict(images, params={"seed": 8}).equals(own)
        apart = model.predict(images[[4, 2]], params={"indices": [4, 2]})
        assert apart.to_dict("records") == own.iloc[[4, 2]].to_dict("records")
        assert not model.predict(images[[4, 2]]).equals(apart)

    def test_clients_at_once_are_answered_alike(
        self, model: Any, images: np.ndarray
    ) -> None:
        parts = [images[np.arange(first, first + 40) % 6] for first in range(12)]
        with ThreadPoolExecutor(len(parts)) as clients:
            replies = list(clients.map(model.predict, parts))
        assert all(
            reply.equals(model.predict(part))
            for part, reply in zip(parts, replies, strict=True)
        )

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                lambda images: images.astype(int) + 1,
                "the pixels run from 1 to 256; allowed",
            ),
            (
                lambda images: images[[0] * 10_001],
                "has 10,001 images; allowed are 1 to 10,000",
            ),
            # As JSON brings them.
            (
                lambda images: (images / 255).astype(object),
                "pixels are of the type float64; allow",
            ),
            (lambda images: np.array(["AAAA", "???"]), "allowed are 784 whole numbers"),
        ],
    )
    def test_other_images_are_refused_in_one_sentence(
        self, model: Any, images: np.ndarray, change: Any, said: str
    ) -> None:
        with pytest.raises(MlflowException, match=said) as refusal:
            model.predict(change(images))
        assert refusal.value.get_http_status_code() == 400
        assert "\n" not in refusal.value.message

    def test_other_parameters_are_refused(self, model: Any, images: np.ndarray) -> None:
        for params, said in (
            ({"profile": "silver"}, "profile: 'silver' is not allowed; allowed: 4"),
            ({"seed": 2**32}, "whole numbers, for the seed from 0 to 2.32 - 1"),
            ({"indices": [1, 2]}, "indices: 2 for 6 images; allowed: one per image"),
            ({"indices": [0, 1, 2, 3, 4, -5]}, "allowed: whole numbers"),
            ({"indices": [0, 1, 2, 3, 4, None]}, "allowed: whole numbers"),
        ):
            # MLflow's server sends any other error with a traceback.
            with pytest.raises(MlflowException, match=said) as refusal:
                model.predict(images, params=params)
            assert refusal.value.get_http_status_code() == 400


@pytest.mark.usefixtures("model")  # its code was compiled when it was loaded
def test_nothing_is_pickled(folder: Path, checkpoint_path: Path) -> None:
    binary = []
    saved = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    for path in filter(Path.is_file, saved):
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            binary.append(path)
    (weights,) = binary
    assert weights.name == "snn.pth"
    assert torch.load(weights, weights_only=True)["schema_version"]
    assert weights.read_bytes() == checkpoint_path.read_bytes()


ELSEWHERE = """
import json, sys
import mlflow.pyfunc, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.predict(np.load(sys.argv[2]))
import spikejoule
print(json.dumps({
    "rows": rows.to_dict("records"),
    "package": spikejoule.__file__,
}))
"""


@pytest.mark.slow
def test_a_process_elsewhere_answers_the_same_by_the_code_beside_the_weights(
    folder: Path, model: Any, images: np.ndarray, tmp_path: Path
) -> None:
    """With nothing but the folder, and the libraries that it requires."""
    np.save(tmp_path / "images.npy", images)
    environment = {
        name: text for name, text in os.environ.items() if name != "PYTHONPATH"
    }
    command = [sys.executable, "-c", ELSEWHERE, folder, tmp_path / "images.npy"]
    done = run(command, tmp_path, environment)
    said = json.loads(
        next(line for line in done.splitlines() if line.startswith('{"rows"'))
    )
    assert said["rows"] == model.predict(images).to_dict("records")
    assert Path(said["package"]) == folder / "code" / "spikejoule" / "__init__.py"
    assert [path.name for path in tmp_path.iterdir()] == ["images.npy"]
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert all("==" in line and "+" not in line for line in lines)


def test_the_server_answers_as_mlflow(model: Any, images: np.ndarray) -> None:
    texts = [base64.b64encode(image.tobytes()).decode() for image in images]
    schema = model.metadata.get_input_schema()
    for request in (
        {"inputs": images.tolist()},
        {"instances": images.reshape(6, 784).tolist(), "params": {"seed": 8}},
        {"inputs": texts, "params": {"profile": MEMORY, "indices": [*range(6)]}},
    ):
        body = json.dumps(request).encode()
        of_mlflow = scoring_server.invocations(body, JSON, model, schema)
        assert answer_to(body, model) == of_mlflow.response


@pytest.fixture(scope="module")
def port(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of the saved model."""
    number = free_port()
    command = [sys.executable, "-P", str(SERVER), str(folder), str(number)]
    log = tmp_path_factory.mktemp("server") / "log"
    ready = partial(answers, f"http://{LOOPBACK}:{number}/ping")
    with running(command, log, ready, env=os.environ):
        yield number


def posted(port: int, body: bytes, media_type: str = JSON) -> tuple[int, str]:
    """Send a request; returns the status and the answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    with closing(connection):
        connection.request("POST", "/invocations", body, {"Content-Type": media_type})
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "media_type", "status", "said"),
    [
        (b'a,b\n1,2,3\n"', "text/csv", 415, "content type must be application/json"),
        (b"", "", 415, "content type must be application/json"),
        (b"", JSON, 400, "not valid JSON: Expecting value"),
        (b"\xff", JSON, 400, "not valid JSON: 'utf-8' codec"),
        (b"[" * 100_000 + b"]" * 100_000, JSON, 400, "nested too deeply"),
        (b'{"inputs":%s}' % (b"[" * 500 + b"]" * 500), JSON, 400, "784 whole numbers"),
        (b'{"inputs":[[%s]]}' % b",".join([b"NaN"] * 784), JSON, 400, "float64"),
        (b" " * (MAX_BYTES + 1), JSON, 413, "too long; allowed are 67,108,864 bytes"),
        (b"[1]", JSON, 400, "with `inputs` or `instances`"),
        (b'{"inputs":[],"params":{"profle":1}}', JSON, 400, "allowed: indices, profi"),
        (
            b'{"inputs":[],"params":{"indices":%s}}' % (b"[" * 900 + b"]" * 900),
            JSON,
            400,
            "must hold numbers, texts or lists of them",
        ),
    ],
    ids=str.split("csv untyped empty latin deep array nan long list unknown params"),
)
def test_the_server_refuses_in_one_sentence(
    body: bytes, media_type: str, status: int, said: str, port: int
) -> None:
    refused, sentence = posted(port, body, media_type)
    assert refused == status
    assert said in sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    # It is still alive.
    image = base64.b64encode(bytes(784)).decode()
    assert posted(port, json.dumps({"inputs": [image]}).encode())[0] == 200
