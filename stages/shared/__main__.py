"""`python -m stages.shared NAME`: run a stage in the working directory."""

import atexit
import gc
import sys


def main(name: str) -> int:
    """Run the stage and return its exit status: 130 after Ctrl-C."""
    # Objects made by imports live to the end: Python would search them for garbage
    # again and again, and once more at exit. Young objects are searched as usual.
    gc.set_threshold(*gc.get_threshold()[:2], 1000)
    atexit.register(gc.freeze)
    try:
        # Imported here, since it takes seconds in which Ctrl-C may be pressed.
        from stages.shared.common import run_stage

        return run_stage(name)
    except KeyboardInterrupt:
        # On a line of its own, below a progress bar.
        print(
            "\nerror: interrupted from the keyboard; the same command continues: "
            "finished stages and epochs are kept.",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
