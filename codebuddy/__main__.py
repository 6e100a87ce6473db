"""Where the program starts: the console script and `python -m codebuddy`.

It imports nothing but the command line, and that late: an interrupt is no traceback even while
modules are still being imported.
"""

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        from codebuddy.cli import main as run

        run()
    except KeyboardInterrupt:
        from codebuddy.errors import EXIT_INTERRUPTED

        sys.stderr.write("error: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
