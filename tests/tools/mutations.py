"""Break kernels on purpose, one place at a time: a test must notice each.

`python -m tests.tools.mutations [WORD...]` copies the project, and for every mutation (whose name
holds one of the words) changes one expression there and runs the tests that should fail. It exits
with 1 if one survived. mutmut, which `make mutations` runs first, mutates what runs uncompiled
(`[tool.mutmut]` in pyproject.toml); kernels it cannot, since numba compiles them.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.tools.pipeline_tools import REPOSITORY, clean_environment, clone_of_working_tree

MUTATIONS = Path(__file__).with_suffix(".yaml")
# Exit statuses of pytest: some tests failed, all passed; others mean that tests did not run.
FAILED, PASSED = 1, 0


def run_tests(project: Path, tests: str) -> int:
    """Run quick tests in the copy until one fails, with kernels of its own; the exit status."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(project.parent / "kernels")}
    environment["PYTHONPATH"] = os.pathsep.join([str(project / "src"), str(project)])
    options = ("-m", "not slow", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no")
    command = [sys.executable, "-m", "pytest", *options, tests]
    return subprocess.run(
        command, cwd=project, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode


def main(words: list[str], folder: Path) -> int:
    """Try every mutation whose name holds one of the words; the exit status."""
    mutations = yaml.safe_load(MUTATIONS.read_text(encoding="utf-8"))
    chosen = [of for of in mutations if not words or any(word in of["name"] for word in words)]
    survived, project = 0, folder / "project"
    clone_of_working_tree(REPOSITORY, project, clean_environment(folder), {})
    for tests in sorted({of["tests"] for of in chosen}):
        if run_tests(project, tests) != PASSED:
            print(f"error: {tests} fails without a mutation too", file=sys.stderr)
            return 1
    for of in chosen:
        path = project / of["file"]
        content = path.read_text(encoding="utf-8")
        assert content.count(of["before"]) == 1, f"{of['name']}: not at one place of {of['file']}"
        path.write_text(content.replace(of["before"], of["after"]), encoding="utf-8")
        status = run_tests(project, of["tests"])
        path.write_text(content, encoding="utf-8")
        survived += status != FAILED
        print(f"{of['name']}: {'caught' if status == FAILED else 'SURVIVED'}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutations were caught.")
    return int(survived > 0 or not chosen)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mutations-") as place:
        sys.exit(main(sys.argv[1:], Path(place)))
