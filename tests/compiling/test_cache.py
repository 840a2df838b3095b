"""Where compiled kernels are cached, and runs without a cache."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.tools.processes import start_python

SMALL_KERNEL = """
import json
from pathlib import Path
import numpy as np
from spikejoule.engine.learning.kernels.optimizer import clip_coefficient
value = clip_coefficient(np.array([9.0, 16.0]), 1.0)
assert abs(value - 0.2) < 1e-6
print(json.dumps({
    "file": str(Path(clip_coefficient.py_func.__code__.co_filename)),
    "hits": sum(clip_coefficient.stats.cache_hits.values()),
}))
"""


class TestCache:
    def run(self, code: str = SMALL_KERNEL, **environment: str) -> dict[str, Any]:
        """Call a kernel once in a process; return what it prints, and its warnings."""
        pipe = subprocess.PIPE
        process = start_python("-c", code, stdout=pipe, stderr=pipe, env=environment)
        output, warnings = process.communicate(timeout=300)
        assert process.returncode == 0, warnings
        printed: dict[str, Any] = json.loads(output)
        return printed | {"warnings": warnings}

    def test_checkouts_share_one_cache_and_a_changed_kernel_gets_another(
        self, tmp_path: Path, repository: Path
    ) -> None:
        cache = str(tmp_path / "cache")
        packages = [tmp_path / name / "spikejoule" for name in ("one", "two")]
        hits = []
        for package in packages:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(repository / "src" / "spikejoule", package, ignore=ignored)
            printed = self.run(PYTHONPATH=str(package.parent), NUMBA_CACHE_DIR=cache)
            assert printed["file"].startswith(str(package))
            hits.append(printed["hits"])
        # Another kernel changes, which the one that is called could use.
        with (packages[1] / "engine" / "kernels" / "forward.py").open("a") as kernel:
            kernel.write("\nCHANGED = True\n")
        printed = self.run(PYTHONPATH=str(packages[1].parent), NUMBA_CACHE_DIR=cache)
        assert [*hits, printed["hits"]] == [0, 1, 0]

    @pytest.mark.slow
    @pytest.mark.parametrize("obstacle", ["full disk", "no folder"])
    def test_kernels_run_without_a_cache(self, tmp_path: Path, obstacle: str) -> None:
        code = SMALL_KERNEL
        folder = tmp_path / "cache"
        if obstacle == "full disk":
            # As on a full disk: no file may have more than a thousand bytes.
            limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
            code = f"import resource; {limit}\n{SMALL_KERNEL}"
        else:
            # Root may write anywhere but below a file.
            folder.write_text("not a folder")
        printed = self.run(code, NUMBA_CACHE_DIR=str(folder))
        assert printed["hits"] == 0
        assert printed["warnings"].count("compiled anew") == 1
        assert "NUMBA_CACHE_DIR" in printed["warnings"]
