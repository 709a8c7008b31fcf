"""Runs the `tally` command: `python -m tally`."""

from tally.cli import main

if __name__ == "__main__":
    main(prog_name="tally")
