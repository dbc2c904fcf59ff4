"""`python -m chargen` is the same as `chargen`."""

from chargen.cli.main import main

if __name__ == "__main__":
    main()
