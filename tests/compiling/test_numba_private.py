"""What `numba_private` takes from numba still works, also from the cache."""

import json
import subprocess
from pathlib import Path

from tests.tools.processes import start_python

# A kernel that calls one compiled apart, for many places on numba's threads.
SCRIPT = """
import json, sys
import numpy as np
from numba.core import event
from spikejoule.compiling import compiled, compiled_apart, compiled_parallel
from spikejoule.compiling.numba_private import to_fixed_tuple

def square(x):
    return x * x

def fill(place, values):
    values[place] = square(float(place))

def filled(values):
    fill_all(len(values), values)
    first, second = to_fixed_tuple(values, 2)
    return first + second

square = compiled_apart(square)
fill_all = compiled_parallel(fill)
filled = compiled(filled)
values = np.zeros(100)
with event.install_recorder("numba:compile") as recorder:
    total = filled(values)
print(json.dumps({
    "total": total,
    "last": values[-1],
    "compiled": len(recorder.buffer),
    "hits": sum(filled.stats.cache_hits.values()),
}))
"""


def test_kernels_run_on_threads_and_come_out_of_the_cache(tmp_path: Path) -> None:
    module = tmp_path / "kernels_of_a_test.py"
    module.write_text(SCRIPT, encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {module.stem}"
    results = []
    for _ in range(2):
        process = start_python(
            *("-c", code),
            stdout=subprocess.PIPE,
            env={"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        )
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        results.append(json.loads(output))
    compiled, cached = results
    assert (compiled["total"], compiled["last"]) == (1.0, 99.0**2)
    assert (compiled["hits"], cached["hits"]) == (0, 1)
    assert compiled["compiled"] > 0
    assert (cached["total"], cached["last"], cached["compiled"]) == (1.0, 99.0**2, 0)
