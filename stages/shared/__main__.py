"""`python -m stages.shared NAME`: run a stage of the pipeline, in the working
directory.
"""

import atexit
import gc
import sys


def main(name: str) -> int:
    """Run the stage and return the exit status: 130 for an interruption from the
    keyboard.
    """
    # What libraries make as they are imported stays: Python would search all of it for
    # garbage again and again, and once more at the end. What is young is searched as
    # ever.
    gc.set_threshold(*gc.get_threshold()[:2], 1000)
    atexit.register(gc.freeze)
    try:
        # Here: importing takes seconds, in which somebody may press Ctrl-C.
        from stages.shared.common import run_stage

        return run_stage(name)
    except KeyboardInterrupt:
        print("error: interrupted from the keyboard.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
