"""The `tally` command, also as `python -m tally`."""

import signal


def main() -> None:
    """Run the command."""
    # Until the command can end in order, Ctrl-C ends it at once, and without a traceback.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    import logging  # noqa: PLC0415

    # A command says itself what failed, in one line: what a library would log, as of a connection
    # that a signal closes midway, is for a service's log.
    logging.lastResort = logging.NullHandler()
    from tally.cli import main as run  # noqa: PLC0415

    run(prog_name="tally")


if __name__ == "__main__":
    main()
