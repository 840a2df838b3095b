"""dvc.yaml against the code: what it names, lists and passes is what the scripts read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.encoding.encoders import ENCODERS
from spikejoule.model.neurons import NEURONS
from spikejoule.model.surrogates import SURROGATES
from spikejoule.params import LIMITS, EnergyReportParams, Params
from spikejoule.training.schedules import SCHEDULES
from spikejoule.training.settings import TrainingRegime
from stages.shared.project import launches_a_stage
from tests.tools.finished_project import GIVEN, inputs_and_outputs
from tests.tools.pipeline_tools import STAGES, artifact_paths, pipeline_definition

grimp = pytest.importorskip("grimp", reason="needs grimp, which comes with import-linter")

# Imported late by what all stages share, to show what happens: no result depends on it.
SHOWN_BY, SHOWS = "stages.shared.", "spikejoule.tracking"
# Reading parameters checks the sections of all stages; what a stage computes with the sections that
# it uses is in packages that it imports itself.
CHECKS_ALONE = "spikejoule.params"


@pytest.fixture(scope="module")
def definition(repository: Path) -> dict[str, Any]:
    return pipeline_definition(repository)


@pytest.fixture(scope="module")
def paths(repository: Path) -> dict[str, str]:
    return artifact_paths(repository)


@pytest.fixture(scope="module")
def import_graph(repository: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "src"))
        patch.syspath_prepend(str(repository))
        yield grimp.build_graph(
            "spikejoule", "stages", cache_dir=None, exclude_type_checking_imports=True
        )


def name_in_vars(reference: str) -> str:
    """`train` of `${paths.train}`."""
    match = re.fullmatch(r"\$\{paths\.(\w+)\}", reference)
    assert match, f"{reference} is not a path from vars"
    return match[1]


def code_of(stage: dict[str, Any]) -> list[str]:
    return [entry for entry in stage["deps"] if not entry.startswith("$")]


def file_of(module: str, repository: Path) -> str:
    """The dependency that stands for a module: its package, or its file where it is in none."""
    parts = module.split(".")
    if parts[0] == "spikejoule" and len(parts) > 1:
        package = f"src/spikejoule/{parts[1]}"
        if (repository / package).is_dir():
            return package
    if parts[:2] == ["stages", "shared"]:
        return "stages/shared"
    base = Path("src" if parts[0] == "spikejoule" else "").joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if (repository / candidate).is_file():
            return candidate.as_posix()
    raise AssertionError(f"{module} has no file")


def needed_code(graph: Any, stage: str, repository: Path) -> set[str]:
    """What a stage's outputs depend on: all that its script imports, but what parameters check."""
    pending = [f"stages.{stage}", "stages.shared.__main__"]
    found = set(pending)
    while pending:
        importer = pending.pop()
        for module in graph.find_modules_directly_imported_by(importer) - found:
            if importer.startswith(SHOWN_BY) and module.startswith(SHOWS):
                continue
            found.add(module)
            if module != CHECKS_ALONE:
                pending.append(module)
    return {file_of(module, repository) for module in found - {"spikejoule"}}


def keys_read(script: Path) -> set[str]:
    """The full keys of the parameters that a script reads: every X.Y of `params.X.Y`."""
    return {
        f"{node.value.attr}.{node.attr}"
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "params"
    }


def sections_read(script: Path) -> set[str]:
    """The sections of the parameters that a script reads: every X of `params.X`.

    A record of a run holds all of them.
    """
    nodes = list(ast.walk(ast.parse(script.read_text(encoding="utf-8"))))
    calls = {
        node.func.id
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if "publish_outputs" in calls:
        return set(Params.model_fields)
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "params"
    }


def test_the_stages_and_their_order(definition: dict[str, Any]) -> None:
    assert tuple(definition["stages"]) == STAGES


class TestPaths:
    def test_each_stands_once(self, repository: Path, paths: dict[str, str]) -> None:
        text = (repository / "dvc.yaml").read_text(encoding="utf-8")
        assert len(set(paths.values())) == len(paths)
        for path in paths.values():
            assert text.count(path) == 1, path

    def test_none_stands_in_the_code(self, repository: Path, paths: dict[str, str]) -> None:
        for folder in ("src", "stages"):
            for file in sorted((repository / folder).rglob("*.py")):
                literals = {
                    node.value
                    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
                assert not literals & set(paths.values()), file

    def test_each_is_written_by_one_stage_and_before_it_is_read(
        self, repository: Path, paths: dict[str, str]
    ) -> None:
        written = list(GIVEN)
        for stage in STAGES:
            read, made = inputs_and_outputs(stage, repository)
            assert set(read) <= set(written), stage
            written += made
        assert sorted(written) == sorted(paths)

    def test_files_lie_where_git_or_dvc_keeps_them(
        self, definition: dict[str, Any], paths: dict[str, str]
    ) -> None:
        # data/, models/ and results/ are ignored by git: DVC must cache them, and nothing else.
        for stage in definition["stages"].values():
            for entry in (
                *stage.get("outs", ()),
                *stage.get("metrics", ()),
                *stage.get("plots", ()),
            ):
                ((reference, options),) = (
                    entry.items() if isinstance(entry, dict) else [(entry, {})]
                )
                cached = options.get("cache", True)
                folder = paths[name_in_vars(reference)].split("/")[0]
                assert cached == (folder in ("data", "models", "results")), reference


@pytest.mark.parametrize("name", STAGES)
class TestStage:
    def test_the_command(self, name: str, definition: dict[str, Any]) -> None:
        assert definition["stages"][name]["cmd"].split() == ["stages/shared/run", name]
        # A shell that stays alive as the stage's parent is not the pipeline.
        assert launches_a_stage(["sh", "-c", definition["stages"][name]["cmd"]])

    def test_code_is_all_that_the_script_imports(
        self, name: str, definition: dict[str, Any], import_graph: Any, repository: Path
    ) -> None:
        needed = needed_code(import_graph, name, repository)
        listed = code_of(definition["stages"][name])
        assert len(set(listed)) == len(listed)
        assert set(listed) == needed
        for entry in listed:
            assert (repository / entry).exists(), entry

    def test_sections_are_those_that_the_script_reads(
        self, name: str, definition: dict[str, Any], repository: Path
    ) -> None:
        listed = definition["stages"][name]["params"]
        assert len(set(listed)) == len(listed)
        script = repository / "stages" / f"{name}.py"
        assert {entry.partition(".")[0] for entry in listed} == sections_read(script)
        # Of a section that is not listed as a whole, those keys alone that the script reads.
        by_key = {entry for entry in listed if "." in entry}
        read = {key for key in keys_read(script) if key.partition(".")[0] not in listed}
        if name == "baseline":
            # Of events it takes the encoder, which is that of the window alone.
            read = read - {"encode.encoder"} | {"encode.window_ms"}
            read |= {f"train.{key}" for key in TrainingRegime.model_fields if key != "lr"}
        if name == "publish":  # which records every parameter but the limits, which decide nothing
            report = {f"energy_report.{key}" for key in EnergyReportParams.model_fields}
            read |= report - set(LIMITS)
        assert by_key == read


def test_every_parameter_is_read(repository: Path) -> None:
    """A parameter that no code asks for would be written down, recorded, and do nothing."""
    files = [*(repository / "src").rglob("*.py"), *(repository / "stages").rglob("*.py")]
    read = {
        node.attr
        for file in files
        if file.name != "params.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    # Those that name one of several kinds are read by their keys.
    read |= {kinds.key for kinds in (ENCODERS, NEURONS, SCHEDULES, SURROGATES)}
    sections = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    keys = {key for section in sections.values() if isinstance(section, dict) for key in section}
    assert keys - read == set()


def test_dvc_itself_resolves_it(repository: Path, definition: dict[str, Any]) -> None:
    # Plots and the registered model too go by the variables.
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    with Repo.open(str(repository), uninitialized=True) as repo:
        resolver = DataResolver(repo, str(repository), definition)
        resolved = resolver.resolve()["stages"]
        assert set(resolved) == set(STAGES)
        outputs = {
            next(iter(entry)) if isinstance(entry, dict) else entry
            for stage in resolved.values()
            for entry in (
                *stage.get("outs", ()),
                *stage.get("metrics", ()),
                *stage.get("plots", ()),
            )
        }
        (model,) = resolver.resolve_artifacts().values()
        assert model is not None
        assert model["path"] in outputs
        for plot in resolver.resolve_plots():
            if isinstance(plot, str):
                assert plot in outputs
            else:
                ((_, options),) = plot.items()
                assert set(options["y"]) <= outputs
