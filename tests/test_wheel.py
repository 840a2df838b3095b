"""The wheel in environments outside of this clone: the library without the pipeline.

No package registry is asked. Beside the wheel, an environment has links to the test
environment's distributions that the wheel or a simulator requires, and no others.
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import Parser
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from spikejoule.core.extras import EXTRAS, install
from spikejoule.encoding.events import EventList, save_events
from tests.nir.foreign import DT, GRAPHS, Maker
from tests.tools.without_torch import needs_torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("wheel"),  # one worker builds it
    needs_torch,  # setuptools comes with it
]

OF_THE_PIPELINE = ("dvc", "mlflow", "torchvision", "sklearn", "mlxtend", "optuna")


@dataclass(frozen=True)
class Environment:
    """A Python with the wheel; commands run in its folder."""

    folder: Path

    def run(self, *command: str, status: int = 0) -> str:
        """The output of a command; if it must fail, its error."""
        program = self.folder / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    def python(self, code: str) -> str:
        return self.run("python", "-W", "error::ImportWarning", "-c", code)


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, since a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(repository / "src", folder / "source" / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run(
        [*pip, "wheel", *offline, folder / "source"], check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return built


def needed(requirements: Iterable[str], extra: str) -> dict[str, Distribution]:
    """The installed distributions of requirements and an extra, and of theirs."""
    installed: dict[str, Distribution] = {}
    left = [Requirement(line) for line in requirements]
    while left:
        requirement = left.pop()
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": extra}):
            continue
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:  # of another build of PyTorch, say
            continue
        if package.name not in installed:
            installed[package.name] = package
            left += [Requirement(line) for line in package.requires or ()]
    return installed


def requirements_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (
            name for name in archive.namelist() if name.endswith(".dist-info/METADATA")
        )
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    return metadata.get_all("Requires-Dist") or []


def environment(folder: Path, wheel: Path, extra: str, *others: str) -> Environment:
    """A fresh environment with the wheel, an extra of it, and some others."""
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    install = ["install", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, *install, wheel], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for package in needed([*requirements_of(wheel), *others], extra).values():
        tops = {file.parts[0] for file in package.files or ()}
        for top in tops - {"..", "__pycache__"}:
            source = Path(str(package.locate_file(top))).resolve()
            if not (packages / top).exists():
                (packages / top).symlink_to(source)
    return Environment(folder)


@pytest.fixture(scope="module")
def library(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with the extra for graphs, a graph and its events."""
    import nir

    made = environment(tmp_path_factory.mktemp("library"), wheel, "nir")
    graph = GRAPHS["fully connected"](Maker())
    nir.write(made.folder / "graph.nir", graph)
    spikes = np.random.default_rng(3).random((6, 10, 6)) < 0.3
    save_events(made.folder / "events.npz", EventList.from_dense(spikes), {})
    return made


@pytest.fixture(scope="module")
def with_snntorch(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    return environment(
        tmp_path_factory.mktemp("simulator"), wheel, "", "torch", "snntorch"
    )


HOW = ("--dt", str(DT), "--reset", "zero", "--threshold", "ge")


def test_a_graph_is_priced_without_pytorch(library: Environment) -> None:
    modules = (*OF_THE_PIPELINE, "torch", "nirtorch", "yaml")
    code = f"from importlib.util import find_spec; print(*map(find_spec, {modules}))"
    assert set(library.python(code).split()) == {"None"}
    given = ("graph.nir", "--events", "events.npz", *HOW, "--html", "energy.html")
    said = library.run("spikejoule", "energy", *given)
    assert said.startswith("Energy of graph.nir\n")
    assert "45nm-fp32" in (library.folder / "energy.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["library", "with_snntorch"])
def test_every_module_needs_what_is_declared(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Only the wheel's requirements and the extras."""
    code = (
        "import importlib, pkgutil, spikejoule\n"
        "for one in pkgutil.walk_packages(spikejoule.__path__, 'spikejoule.'):\n"
        "    try:\n"
        "        importlib.import_module(one.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error.name.partition('.')[0])\n"
    )
    missing = set(request.getfixturevalue(name).python(code).split())
    assert missing <= EXTRAS.keys()
    assert ("torch" in missing) == (name == "library")


def test_a_command_names_the_extra_that_it_needs(
    library: Environment, repository: Path
) -> None:
    """The page on installing shows the same for `spikejoule search`."""
    shutil.copy(repository / "params.yaml", library.folder)
    for name in ("checkpoint.pth", "mlflow.db"):
        (library.folder / name).touch()
    for command, module, extra in (
        (("inspect", "checkpoint.pth"), "torch", "torch"),
        (("seeds", "."), "mlflow", "pipeline"),
    ):
        said = library.run("spikejoule", *command, status=1)
        needs = f"needs {module}: {install(extra)}"
        assert said == f"error: `spikejoule {command[0]}` {needs}.\n"


def test_accelerate_names_the_extra_that_it_needs(
    library: Environment, with_snntorch: Environment
) -> None:
    """Without PyTorch, and with PyTorch but without the compiler."""
    for made, module, extra in (
        (library, "torch", "torch"),
        (with_snntorch, "numba", "nir"),
    ):
        said = made.run(
            "python", "-c", "import spikejoule; spikejoule.accelerate", status=1
        )
        needs = f"needs {module}: {install(extra)}"
        assert f"spikejoule.accelerate {needs}.\n" in said


THREE_LINES = """
import torch, spikejoule
from snntorch import Leaky
torch.manual_seed(0)
leaky = lambda: Leaky(beta=0.9, init_hidden=True)
first, last = torch.nn.Linear(12, 9), torch.nn.Linear(9, 4)
model = torch.nn.Sequential(first, leaky(), last, leaky()).eval()
spikes = (torch.rand(7, 20, 12) < 0.5).float()

report = spikejoule.price(model, spikes, labels=torch.randint(4, (20,)), time_axis=0)
print(report)
report.save("priced.html")
"""


OF_GRAPHS = ("h5py", "llvmlite", "nir", "numba", "scipy")


def test_a_model_is_priced_with_the_wheel_alone(with_snntorch: Environment) -> None:
    modules = (*OF_THE_PIPELINE, *OF_GRAPHS)
    code = f"from importlib.util import find_spec; print(*map(find_spec, {modules}))"
    assert set(with_snntorch.python(code).split()) == {"None"}
    assert "lemaire-complete" in with_snntorch.python(THREE_LINES)
    assert "snntorch" in (with_snntorch.folder / "priced.html").read_text(
        encoding="utf-8"
    )


def test_the_wheel_is_small_besides_pytorch(wheel: Path) -> None:
    packages = needed(requirements_of(wheel), "").values()
    files = [file.locate() for package in packages for file in package.files or ()]
    size = sum(Path(str(file)).stat().st_size for file in files if file.is_file())
    assert size < 300e6
