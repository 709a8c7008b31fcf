"""The `tally` command, also as `python -m tally`."""

import signal


def main() -> None:
    """Run the command."""
    # Until the command can end in order, Ctrl-C ends it at once, and without a traceback.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tally.cli import main as run  # noqa: PLC0415

    run(prog_name="tally")


if __name__ == "__main__":
    main()
