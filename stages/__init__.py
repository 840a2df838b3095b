"""The stages of the pipeline: each reads paths and parameters, calls the library, writes outputs.

dvc.yaml calls them through `stages/shared/run NAME`, which picks the interpreter.
"""

import sys
from types import TracebackType


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("error: interrupted from the keyboard.", file=sys.stderr)
    sys.exit(130)


# So argv begins while `python -m` imports the package of what it runs. `run_stage` says the same,
# but a stage imports for seconds before.
if sys.argv[0] == "-m":
    sys.excepthook = _end
