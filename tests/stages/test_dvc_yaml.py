"""dvc.yaml lists exactly the code, artifacts and parameters that the scripts use."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.parameters import Only, ParameterFile
from spikejoule.params import LIMITS, WITHOUT_EFFECT
from stages.shared.project import launches_a_stage
from tests.tools.pipeline_tools import (
    OUTPUTS,
    STAGES,
    artifact_paths,
    entries,
    pipeline_definition,
)

grimp = pytest.importorskip(
    "grimp", reason="needs grimp, which comes with import-linter"
)

# Imported late by what all stages share, to show what happens: no result depends on it.
SHOWN_BY = "stages.shared."
SHOWS = "spikejoule.tracking"


@pytest.fixture(scope="module")
def definition(repository: Path) -> dict[str, Any]:
    return pipeline_definition(repository)


@pytest.fixture(scope="module")
def import_graph(repository: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "src"))
        patch.syspath_prepend(str(repository))
        yield grimp.build_graph(
            "spikejoule", "stages", cache_dir=None, exclude_type_checking_imports=True
        )


def file_of(module: str, repository: Path) -> str:
    """The dependency that stands for a module: its package, or its file where it is in
    none.
    """
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
    """What a stage's outputs depend on: all that its script imports."""
    pending = [f"stages.{stage}", "stages.shared.__main__"]
    found = set(pending)
    while pending:
        importer = pending.pop()
        for module in graph.find_modules_directly_imported_by(importer) - found:
            if importer.startswith(SHOWN_BY) and module.startswith(SHOWS):
                continue
            found.add(module)
            pending.append(module)
    return {file_of(module, repository) for module in found - {"spikejoule"}}


def listed_by(params: type[ParameterFile]) -> set[str]:
    """The entries of dvc.yaml for what a stage reads: sections, or single keys."""
    names = set()
    for name, field in params.model_fields.items():
        keys = [part.keys for part in field.metadata if isinstance(part, Only)]
        names |= {f"{name}.{key}" for key in keys[0]} if keys else {name}
    return names - set(WITHOUT_EFFECT)


def parameters_read(script: Path) -> set[str]:
    """The `params.X` and `params.X.Y` in a script, the longest of each."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in attributes}
    names = [ast.unparse(node) for node in attributes if id(node) not in inner]
    return {
        ".".join(name.split(".")[1:3]) for name in names if name.startswith("params.")
    }


def test_dvc_keeps_the_outputs_that_git_does_not(
    repository: Path, definition: dict[str, Any]
) -> None:
    """Git ignores data/, models/, results/ and the playground: DVC must cache them,
    and nothing else.
    """
    paths = artifact_paths(repository)
    ignored = ("data/", "models/", "results/", paths["playground"])
    for stage in definition["stages"].values():
        for name, options in entries(stage, *OUTPUTS).items():
            is_ignored = paths[name].startswith(ignored)
            assert options.get("cache", True) == is_ignored, name


@pytest.mark.parametrize("name", STAGES)
class TestStage:
    def test_code_is_all_that_the_script_imports(
        self, name: str, definition: dict[str, Any], import_graph: Any, repository: Path
    ) -> None:
        # The shell in which DVC starts it stays alive as its parent, and is not the
        # pipeline.
        assert launches_a_stage(["sh", "-c", definition["stages"][name]["cmd"]])
        deps = definition["stages"][name]["deps"]
        listed = [entry for entry in deps if not entry.startswith("$")]
        assert len(set(listed)) == len(listed)
        assert set(listed) == needed_code(import_graph, name, repository)

    def test_parameters_are_those_that_the_script_reads(
        self, name: str, definition: dict[str, Any], repository: Path
    ) -> None:
        listed = definition["stages"][name]["params"]
        assert len(set(listed)) == len(listed)
        declared: type[ParameterFile] = import_module(f"stages.{name}").Params
        expected = listed_by(declared)
        if name == "publish":  # records all parameters, but limits decide no result
            section = declared.model_fields["energy_report"].annotation
            keys = {f"energy_report.{key}" for key in section.model_fields}
            expected = expected - {"energy_report"} | keys - set(LIMITS)
        assert set(listed) == expected
        if name in ("parameters", "publish"):
            return
        # A section is read where it is passed on as a whole, or by single keys.
        script = repository / "stages" / f"{name}.py"
        read = parameters_read(script)
        if "stages.pricing" in script.read_text(encoding="utf-8"):
            read |= parameters_read(repository / "stages" / "pricing.py")
        assert {key.partition(".")[0] for key in read} == set(declared.model_fields)
        unread = {key for key in listed if "." in key} - read
        assert {key.partition(".")[0] for key in unread} <= read
