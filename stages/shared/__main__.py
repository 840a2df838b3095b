"""`python -m stages.shared NAME`: run a stage of the pipeline, in the working directory."""

import sys


def main(name: str) -> int:
    """Run the stage and return the exit status: 130 for an interruption from the keyboard."""
    try:
        # Here: importing takes seconds, in which somebody may press Ctrl-C.
        from stages.shared.common import run_stage

        return run_stage(name)
    except KeyboardInterrupt:
        print("error: interrupted from the keyboard.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
