"""The model that MLflow loads and serves: the pipeline's own numbers, and nothing pickled."""

import base64
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import types
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.profile_files import PACKAGED
from spikejoule.model.checkpoint import read_complete, write_complete
from spikejoule.tracking import ModelFiles, served_model
from spikejoule.tracking.served_http import invocations, take_over_server
from spikejoule.tracking.served_model import save_served_model
from spikejoule.tracking.served_request import MAX_BYTES, MAX_IMAGES
from tests import naive
from tests.tools.examples import complete_content, trained_network, write_example
from tests.tools.services import LOOPBACK, answers, free_port, running
from tests.tools.settings import draw_key, encode

ARITHMETIC = "45nm-fp32"
MEMORY = "45nm-memory"
SEED = 7  # of the example's encoding
T, HIDDEN, OUTPUT = 50, 20, 10
DARK = [0] * 784


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Six images of 8 bits, half of them dark."""
    generator = np.random.default_rng(3)
    drawn = generator.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    drawn[generator.random(drawn.shape) < 0.8] = 0
    return drawn


@pytest.fixture(scope="module")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_example(tmp_path_factory.mktemp("checkpoint, with 100 % odd name") / "snn.pth")


@pytest.fixture(scope="module")
def folder(checkpoint_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model."""
    target = tmp_path_factory.mktemp("model") / "saved"
    save_served_model(target, ModelFiles(checkpoint_path, PACKAGED, ARITHMETIC), "a-run")
    return target


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return mlflow.pyfunc.load_model(str(folder))


class TestAnswer:
    def test_spikes_and_class_are_those_of_plain_loops(
        self, model: Any, checkpoint_path: Path, images: np.ndarray
    ) -> None:
        checkpoint = read_complete(checkpoint_path)
        inputs = encode(images, T, 80.0, draw_key(SEED, "test", 0)).to_dense(np.int64)
        rows = model.predict(images).to_dict("records")
        for row, spikes in zip(rows, inputs, strict=True):
            (_, hidden), (_, output) = naive.forward(
                checkpoint.state, spikes.tolist(), threshold=1.0, decay=0.9
            )
            votes = np.sum(output, axis=0)
            assert row["spikes_input"] == spikes.sum()
            assert row["spikes_hidden"] == np.sum(hidden)
            assert row["spikes_output"] == votes.sum()
            assert row["class"] == votes.argmax()

    def test_events_and_energy_by_hand(self, model: Any, images: np.ndarray) -> None:
        rows = model.predict(images)
        events = HIDDEN * rows["spikes_input"] + OUTPUT * rows["spikes_hidden"]
        assert rows["synaptic_events"].tolist() == events.tolist()
        # an addition an event, and a multiplication and an addition a neuron and step
        neurons = T * (HIDDEN + OUTPUT)
        expected = 0.9 * events + (3.7 + 0.9) * neurons
        for name in ("energy_pj", "energy_low_pj", "energy_high_pj"):
            np.testing.assert_allclose(rows[name], expected, rtol=1e-12)

    def test_a_bracket_has_no_middle(self, model: Any, images: np.ndarray) -> None:
        rows = model.predict(images, params={"profile": MEMORY})
        assert rows["energy_pj"].tolist() == [None] * len(images)
        assert (rows["energy_low_pj"] < rows["energy_high_pj"]).all()

    def test_a_constant_current(self, tmp_path: Path, images: np.ndarray) -> None:
        network = replace(trained_network(), encoder=Direct(time_window=T))
        content = complete_content(network)
        content["energy_proxies"]["input_macs_per_inference"] = 1.0
        write_complete(tmp_path / "c.pth", content)
        files = ModelFiles(tmp_path / "c.pth", PACKAGED, ARITHMETIC)
        save_served_model(tmp_path / "saved", files, "a-run")
        rows = mlflow.pyfunc.load_model(str(tmp_path / "saved")).predict(images)
        lit = np.count_nonzero(images.reshape(6, 784), axis=1)
        assert rows["spikes_input"].tolist() == [0] * 6
        assert rows["input_macs"].tolist() == (HIDDEN * lit).tolist()
        events = OUTPUT * rows["spikes_hidden"]
        assert rows["synaptic_events"].tolist() == events.tolist()
        expected = 4.6 * HIDDEN * lit + 0.9 * events + (3.7 + 0.9) * T * (HIDDEN + OUTPUT)
        np.testing.assert_allclose(rows["energy_pj"], expected, rtol=1e-12)

    def test_both_shapes_and_every_integer_type(self, model: Any, images: np.ndarray) -> None:
        expected = model.predict(images)
        for same in (images.reshape(6, 784), images.astype(np.int64), images.astype(object)):
            assert model.predict(same).equals(expected)

    def test_an_image_at_its_position_does_not_depend_on_its_batch(
        self, model: Any, images: np.ndarray
    ) -> None:
        together = model.predict(images)
        apart = model.predict(images[[4, 2]], params={"indices": [4, 2]})
        assert apart.to_dict("records") == together.iloc[[4, 2]].to_dict("records")
        elsewhere = model.predict(images[[4, 2]])
        assert elsewhere["spikes_hidden"].tolist() != apart["spikes_hidden"].tolist()

    def test_the_seed_decides_the_spikes(self, model: Any, images: np.ndarray) -> None:
        own = model.predict(images)
        assert model.predict(images).equals(own)
        assert model.predict(images, params={"seed": SEED}).equals(own)
        other = model.predict(images, params={"seed": 8})
        assert other["spikes_input"].tolist() != own["spikes_input"].tolist()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda images: images / 255, "the pixels are of the type float64; allowed are whole"),
            (lambda images: images.astype(int) + 1, "the pixels run from 1 to 256; allowed"),
            (lambda images: images > 0, "the pixels are of the type bool; allowed"),
            (lambda images: images[0], r"the shape \[28, 28\]; allowed are \[N, 28, 28\] or"),
            (lambda images: images[:0], r"the shape \[0, 28, 28\]; allowed .* N of at least 1"),
            (lambda images: images[:, :14], r"the shape \[6, 14, 28\]; allowed"),
            (
                lambda images: (images / 255).astype(object),
                r"image 0 has the pixel 0\.0 \(multiply",
            ),
            (lambda images: np.array([[1, 2], [3]], dtype=object), "image 0 has 2 pixels; allowed"),
        ],
    )
    def test_other_images_are_refused(
        self, model: Any, images: np.ndarray, change: Any, said: str
    ) -> None:
        with pytest.raises(MlflowException, match=said):
            model.predict(change(images))

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"profile": "silver"}, "profile: 'silver' is not allowed; allowed: 4"),
            ({"seed": -1}, "params.seed: -1 is not allowed; allowed: a whole number from 0 to"),
            ({"indices": [1, 2]}, "indices: 2 are given for 6 images; allowed: one per image"),
            ({"indices": [0, 1, 2, 3, 4, -5]}, r"params.indices: \[0, .* allowed: a list of whole"),
        ],
    )
    def test_other_questions_are_refused(
        self, model: Any, images: np.ndarray, params: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(MlflowException, match=said):
            model.predict(images, params=params)

    @pytest.mark.parametrize("profile", [ARITHMETIC, MEMORY])
    def test_blocks_bound_the_memory_and_change_nothing(
        self, model: Any, images: np.ndarray, monkeypatch: pytest.MonkeyPatch, profile: str
    ) -> None:
        params = {"profile": profile, "indices": [9, 4, 4, 0, 70_000, 2**63 - 1]}
        whole = model.predict(images, params=params)
        sizes = []
        events = Poisson.events

        def events_of_block(encoder: Poisson, block: np.ndarray, *others: Any) -> Any:
            sizes.append(len(block))
            return events(encoder, block, *others)

        monkeypatch.setattr(Poisson, "events", events_of_block)
        monkeypatch.setattr(served_model, "_BLOCK_STEPS", 4 * T)
        pd.testing.assert_frame_equal(model.predict(images, params=params), whole, check_exact=True)
        assert sizes == [4, 2]


class TestFolder:
    def test_nothing_is_pickled(self, folder: Path) -> None:
        flavor = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
        assert flavor["loader_module"] == "mlflow.pyfunc.loaders.code_model"
        assert "python_model" not in flavor
        binary = []
        for path in (path for path in folder.rglob("*") if path.is_file()):
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                binary.append(path)
        (weights,) = binary
        assert weights.name == "snn.pth"
        assert zipfile.is_zipfile(weights)
        assert torch.load(weights, weights_only=True)["schema_version"]

    def test_files_are_the_runs(self, folder: Path, checkpoint_path: Path) -> None:
        assert (folder / "artifacts" / "snn.pth").read_bytes() == checkpoint_path.read_bytes()
        assert (folder / "artifacts" / PACKAGED.name).read_bytes() == PACKAGED.read_bytes()

    def test_signature(self, model: Any) -> None:
        assert model.metadata.run_id == "a-run"
        defaults = {param.name: param.default for param in model.metadata.signature.params}
        assert defaults == {"profile": ARITHMETIC, "seed": SEED, "indices": []}
        names = [column.name for column in model.metadata.signature.outputs]
        assert names == list(model.predict(np.zeros((1, 784), np.uint8)).columns)

    def test_what_is_wrong_is_refused_before_anything_is_written(
        self, tmp_path: Path, checkpoint_path: Path
    ) -> None:
        with pytest.raises(ParameterError, match="profile: 'silver' is not allowed"):
            save_served_model(tmp_path / "m", ModelFiles(checkpoint_path, PACKAGED, "silver"))
        with pytest.raises(ArtifactError, match="does not exist"):
            save_served_model(tmp_path / "m", ModelFiles(tmp_path / "no.pth", PACKAGED, ARITHMETIC))
        assert not (tmp_path / "m").exists()

    def test_other_code_in_the_process_is_said(
        self, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        changed = tmp_path / "changed"
        shutil.copytree(folder, changed)
        mlflow.pyfunc.load_model(str(changed))
        assert not caplog.records
        (changed / "code" / "spikejoule" / "model" / "neuron.py").write_text("STEP_MS = 2\n")
        with caplog.at_level(logging.WARNING):
            mlflow.pyfunc.load_model(str(changed))
        assert "the model comes with code of its own" in caplog.text


ELSEWHERE = """
import json, sys
import mlflow.pyfunc, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.predict(np.load(sys.argv[2]))
import spikejoule
print(json.dumps({
    "rows": rows.to_dict("records"),
    "package": spikejoule.__file__,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""


class TestElsewhere:
    @pytest.fixture(scope="class")
    def said(
        self, folder: Path, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory
    ) -> dict[str, Any]:
        """What a process with nothing but the folder and the libraries says, somewhere else."""
        here = tmp_path_factory.mktemp("elsewhere")
        np.save(here / "images.npy", images)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(folder), str(here / "images.npy")],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        assert [path.name for path in here.iterdir()] == ["images.npy"]
        content: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return content

    def test_the_same_numbers(self, said: dict[str, Any], model: Any, images: np.ndarray) -> None:
        assert said["rows"] == model.predict(images).to_dict("records")

    def test_by_the_code_beside_the_weights(self, said: dict[str, Any], folder: Path) -> None:
        assert Path(said["package"]) == folder / "code" / "spikejoule" / "__init__.py"

    def test_the_requirements_name_what_is_imported(
        self, said: dict[str, Any], folder: Path, repository: Path
    ) -> None:
        lines = (folder / "requirements.txt").read_text().splitlines()
        required = {line.partition("==")[0].lower() for line in lines}
        assert all("==" in line and "+" not in line for line in lines)
        project = (repository / "pyproject.toml").read_text()
        # Of what the project itself depends on. Libraries try some of it out, if it is there.
        tried = {"nvidia-ml-py", "psutil", "scipy", "setuptools", "tqdm"}
        distributions = packages_distributions()
        imported = {
            name.lower()
            for module in said["modules"]
            for name in distributions.get(module, ())
            if f'"{name.lower()}>=' in project.lower()
        }
        assert imported - tried <= required


class TestServer:
    @pytest.fixture(scope="class")
    def url(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        """`mlflow models serve` on a free port of the loopback interface, ended in any case."""
        port = free_port()
        # Beside this interpreter is the server that MLflow starts by name; the code is the model's.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("PYTHONPATH", None)
        command = [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)),
            *("--env-manager", "local", "--host", LOOPBACK, "--port", str(port)),
        ]
        with running(
            command,
            log=tmp_path_factory.mktemp("server") / "server.log",
            ready=lambda: answers(f"http://{LOOPBACK}:{port}/ping"),
            environment=environment,
        ):
            yield f"http://{LOOPBACK}:{port}/invocations"

    @staticmethod
    def ask(url: str, body: dict[str, Any] | bytes) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def test_every_form_is_answered_alike(self, url: str, model: Any, images: np.ndarray) -> None:
        expected = model.predict(images).to_dict("records")
        text = [base64.b64encode(image.tobytes()).decode() for image in images]
        for body in (
            {"inputs": images.tolist()},
            {"instances": images.reshape(6, 784).tolist()},
            {"inputs": text, "params": {}},
        ):
            assert self.ask(url, body) == (200, {"predictions": expected})

    def test_with_parameters(self, url: str, model: Any, images: np.ndarray) -> None:
        params = {"profile": MEMORY, "seed": 8, "indices": [5, 4, 3, 2, 1, 0]}
        expected = model.predict(images, params=params).to_dict("records")
        status, reply = self.ask(url, {"inputs": images.tolist(), "params": params})
        assert (status, reply["predictions"]) == (200, expected)
        assert expected[0]["energy_pj"] is None

    def test_clients_at_once_get_their_own_answers(
        self, url: str, model: Any, images: np.ndarray
    ) -> None:
        parts = [images[np.arange(first, first + 40) % 6] for first in range(12)]
        with ThreadPoolExecutor(len(parts)) as clients:
            replies = list(
                clients.map(lambda part: self.ask(url, {"inputs": part.tolist()}), parts)
            )
        for part, reply in zip(parts, replies, strict=True):
            assert reply == (200, {"predictions": model.predict(part).to_dict("records")})

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"[" * 20_000 + b"]" * 20_000, "cannot be read as JSON (recursion limit exceeded"),
            (b'{"inputs": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion limit exceeded"),
            (b'{"inputs": [[NaN]]}', "cannot be read as JSON"),
            (b"\xff", "cannot be read as JSON"),
            (b"[1]", "the request is a list; allowed is an object"),
            (b"{}", "inputs: is missing; allowed: a list of 1 to 10,000 images"),
            (b"{}" + b" " * MAX_BYTES, f"allowed are at most {MAX_BYTES:,} bytes and 10,000 im"),
            ({"inputs": [0] * (MAX_IMAGES + 1)}, "allowed: a list of 1 to 10,000 images"),
            ({"inputs": []}, "allowed: a list of 1 to 10,000 images"),
            ({"inputs": {"image": DARK}}, "allowed: a list of 1 to 10,000 images"),
            ({"inputs": [DARK], "instances": [DARK]}, "instances: [[0, 0"),
            ({"inputs": [DARK], "param": {}}, "unknown key (did you mean params?)"),
            ({"inputs": [DARK], "params": [1]}, "params: [1] is not allowed; allowed: a section"),
            ({"inputs": [[*DARK[1:], True]]}, "image 0 has the pixel true; allowed are 784 whole"),
            ({"inputs": [DARK, [*DARK[1:], 0.5]]}, "image 1 has the pixel 0.5 (multiply"),
            ({"inputs": [[*DARK[1:], 256]]}, "image 0 has the pixel 256; allowed"),
            ({"inputs": [[*DARK[1:], -1]]}, "image 0 has the pixel -1; allowed"),
            ({"inputs": [[*DARK[1:], [0]]]}, "image 0 has the pixel [0]; allowed"),
            ({"inputs": [[[0] * 783, [0]]]}, "image 0 has rows of several lengths; allowed"),
            ({"inputs": [DARK[1:]]}, "image 0 has 783 pixels; allowed"),
            ({"inputs": [None]}, "image 0 is null; allowed"),
            ({"inputs": ["AAAA"]}, "image 0 has 3 pixels; allowed"),
            ({"inputs": ["???"]}, "image 0 is not base64"),
            ({"inputs": [DARK], "params": {"sede": 1}}, "params.sede: 1 is given to an unknown"),
            ({"inputs": [DARK], "params": {"seed": True}}, "params.seed: true is not allowed"),
            ({"inputs": [DARK], "params": {"seed": None}}, "params.seed: null is not allowed"),
            ({"inputs": [DARK], "params": {"seed": 7.0}}, "params.seed: 7.0 is not allowed"),
            ({"inputs": [DARK], "params": {"seed": 2**32}}, "allowed: a whole number from 0 to 4"),
            ({"inputs": [DARK], "params": {"profile": 1}}, "params.profile: 1 is not allowed"),
            ({"inputs": [DARK], "params": {"profile": "x"}}, "profile: 'x' is not allowed; allow"),
            ({"inputs": [DARK], "params": {"indices": [-1]}}, "[-1] is not allowed; allowed: a li"),
            ({"inputs": [DARK], "params": {"indices": [2**63]}}, "is not allowed; allowed: a list"),
            ({"inputs": [DARK], "params": {"indices": [True]}}, "is not allowed; allowed: a list"),
            ({"inputs": [DARK], "params": {"indices": 1}}, "is not allowed; allowed: a list"),
            ({"inputs": [DARK], "params": {"indices": [1, 2]}}, "2 are given for 1 images; allow"),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused_in_one_sentence(
        self, url: str, body: dict[str, Any] | bytes, said: str
    ) -> None:
        status, reply = self.ask(url, body)
        assert status == 400
        assert said in reply["message"]
        assert "allowed" in reply["message"]
        assert "\n" not in reply["message"]
        assert len(reply["message"]) < 400

    def test_another_type_of_content_is_refused(self, url: str) -> None:
        request = urllib.request.Request(url, b"0,0\n", {"Content-Type": "text/csv"})
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=120)
        with refusal.value as error:
            assert error.code == 415
            assert (
                error.read() == b"Content-Type: text/csv is not allowed; allowed: application/json"
            )


VALUES = [
    None, True, -1, 0, 2, 255, 256, 2**31, 2**63, 10**400, 0.5, 1e300, "", "AAAA", "x" * 1000,
    [], [[]], {}, {"a": 1}, [True], [0.5], [0, "0"], [[0, 1], [2]], [DARK], DARK,
]  # fmt: skip


def refusal_of(body: bytes, model: Any) -> MlflowException | None:
    try:
        assert invocations(body, "application/json", model, None).status == 200
    except MlflowException as error:
        return error
    return None


def test_whatever_is_sent_is_answered_or_refused(model: Any) -> None:
    """400 mutations of a good request, in their structure and in their bytes; none is a defect."""
    generator = random.Random(5)
    refused = 0
    for _ in range(400):
        image = [list(DARK[:28]) for _ in range(28)]
        params = {"profile": ARITHMETIC, "seed": 1, "indices": [3, 4]}
        request: dict[str, Any] = {"inputs": [image, list(DARK)], "params": params}
        places: list[Any] = [request, params, request["inputs"], image, image[5], params["indices"]]
        place = generator.choice(places)
        new_key = len(place) - 1 if isinstance(place, list) else "other"
        key = generator.choice(
            [*(place if isinstance(place, dict) else range(len(place))), new_key]
        )
        place[key] = generator.choice(VALUES)
        body = bytearray(json.dumps(request).encode())
        for _ in range(generator.choice([0, 0, 1, 3])):
            body[generator.randrange(len(body))] = generator.randrange(256)
        refusal = refusal_of(bytes(body), model)
        if refusal is not None:
            refused += 1
            assert refusal.get_http_status_code() == 400
            assert "allowed" in refusal.message
    assert 200 < refused < 400


class TestTakingOver:
    def test_a_process_that_serves_nothing_keeps_its_mlflow(self, model: Any) -> None:
        assert scoring_server.invocations is not invocations

    def test_a_server_that_works_otherwise_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(
            sys.modules, "mlflow.pyfunc.scoring_server.app", types.ModuleType("app")
        )
        monkeypatch.setattr(scoring_server, "invocations", lambda request: None)
        with pytest.raises(MlflowException, match="install the versions in the model's req"):
            take_over_server()
