"""Run the command in the arguments and print its peak resident memory in bytes as the last line.

A program of its own that imports next to nothing: see `benchmarks.memory`.
"""

import resource
import subprocess
import sys

if __name__ == "__main__":
    code = subprocess.call(sys.argv[1:], stdout=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(peak if sys.platform == "darwin" else peak * 1024)
    sys.exit(code)
