"""`geodiff` and `python -m geodiff`."""

import os
import sys


def main() -> int:
    """Run the command line on `sys.argv`; returns the exit code."""
    # Threads that spin while they wait take the cores from those that work wherever other programs
    # run too: the demo on two cores at a load of 6 took 91 and 116 s, and 16 and 19 s with threads
    # that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import geodiff

    if not hasattr(geodiff, "_check_alone"):
        print(
            f"{geodiff.__file__} belongs to another distribution, which has overwritten "
            "geodiff-manifolds: run `pip uninstall geodiff`, then `pip install --force-reinstall "
            "--no-deps geodiff-manifolds`",
            file=sys.stderr,
        )
        return 2
    from geodiff.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
