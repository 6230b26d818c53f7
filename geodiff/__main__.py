"""`geodiff` and `python -m geodiff`."""

import sys


def main() -> int:
    """Run the command line on `sys.argv`; returns the exit code."""
    from geodiff.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
