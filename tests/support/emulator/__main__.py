"""An AWS to apply to: moto's server in a process of its own, with what it lacks filled in.

    python -m tests.support.emulator --port 5000 --calls calls.jsonl

Every call is written to the file, one JSON object a line: `service` and `action` as in AWS's own
API models, `agent`, the caller's User-Agent, and what IAM decides by: `caller`, the access key,
which names the role that calls; `region`; `parameters`, `facts` and `policies` of what it is about.
What IAM does not allow is refused. What is filled in stands in a module for each
service of AWS; behind a database may stand a real one (`databases.py`). A bad release is known by a
SHA-256 that begins with `bad`: wherever it runs, the alarms that roll it back ring.

It prints its port and process id and then reads commands. `fork` makes a copy of everything it
holds, which serves on a port of its own until it is ended, and prints the same of that: a test may
break things in a copy, and there is nothing to undo. The end of its input ends it and its copies.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from moto import backends
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from tests.support.emulator import (
    application_autoscaling,
    autoscaling,
    budgets,
    cloudfront,
    costs,
    databases,
    ec2,
    ecs,
    elbv2,
    interfaces,
    rds,
    route53,
    s3,
    scheduler,
    secretsmanager,
    sns,
)
from tests.support.emulator.answers import AnswersOnce
from tests.support.emulator.calls import record_calls
from tests.support.emulator.touched import SaysWhatItTouched

SERVICES = (
    application_autoscaling,
    autoscaling,
    budgets,
    cloudfront,
    costs,
    ec2,
    ecs,
    elbv2,
    interfaces,
    rds,
    route53,
    s3,
    scheduler,
    secretsmanager,
    sns,
)


def list_modules_once() -> None:
    """moto reads its own folder for each request, a tenth of the time that it takes to answer."""
    modules = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules


def make_ready(port: int, application: Callable[..., Iterable[bytes]]) -> BaseWSGIServer:
    """Open the port and say so."""
    server = make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler
    )
    sys.stdout.write(f"{server.port} {os.getpid()}\n")
    sys.stdout.flush()
    return server


def running(copies: list[int]) -> list[int]:
    """Leave out the copies that have ended: another process may be given their number."""
    return [copy for copy in copies if os.waitpid(copy, os.WNOHANG) == (0, 0)]


def main() -> None:
    """Serve, and fork when told to, until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--databases", type=Path, default=Path("databases"))
    arguments = parser.parse_args()
    list_modules_once()
    record_calls(arguments.calls)
    databases.FOLDER = arguments.databases
    for service in SERVICES:
        service.patch()

    application = AnswersOnce(SaysWhatItTouched(DomainDispatcherApplication(create_backend_app)))
    server = make_ready(arguments.port, application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    copies: list[int] = []
    for command in sys.stdin:
        if command.strip() != "fork":
            raise SystemExit(f"not a command: {command!r}")
        if copy := os.fork():
            copies = [*running(copies), copy]
            continue
        server.socket.close()
        make_ready(0, application).serve_forever()
    for copy in running(copies):
        os.kill(copy, signal.SIGTERM)


if __name__ == "__main__":
    main()
