"""`python -m codebuddy` does what the console script does."""

from codebuddy.cli import main

if __name__ == "__main__":
    main()
