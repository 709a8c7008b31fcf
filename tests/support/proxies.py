"""Proxies of the distribution's before a running Tally, as processes without any rights."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.distribution_postgres import AS_NOBODY, NOBODY
from tests.support.processes import unused_port, wait_until_answered
from tests.support.programs import need

# Each request that a proxy hands on gets an id that begins so, whatever the client called it.
MARK = "via-"

# A client that has said all it will is let go after a second.
HAPROXY = """\
defaults
    mode http
    timeout connect 10s
    timeout client 1s
    timeout http-request 1s
    timeout http-keep-alive 1s
    timeout server 30s
    retry-on conn-failure empty-response
    {option}
frontend clients
    bind 127.0.0.1:{port}
    http-request set-header X-Request-Id {mark}%[uuid]
    default_backend tally
backend tally
    http-reuse always
    server tally {tally}
"""
NGINX = """\
daemon off;
pid pid;
error_log stderr crit;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_header_timeout 1s;
    client_body_timeout 1s;
    keepalive_timeout 1s;
    lingering_timeout 1s;
    upstream tally {{
        server {tally};
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://tally;
            proxy_set_header Host $http_host;
            proxy_set_header X-Request-Id {mark}$request_id;
            {option}
        }}
    }}
}}
"""
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
# As it is written everywhere for WebSockets: nginx hands every Upgrade on, and any body with it.
UPGRADES = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    ' proxy_set_header Connection "upgrade";'
)
# By name: the program, its configuration, one line more.
PROXIES = {
    "haproxy": ("haproxy", HAPROXY, ""),
    "haproxy-lax": ("haproxy", HAPROXY, "option accept-invalid-http-request"),
    "nginx": ("nginx", NGINX, ""),
    "nginx-kept": ("nginx", NGINX, KEPT),
    "nginx-upgrades": ("nginx", NGINX, UPGRADES),
}


@dataclass(frozen=True)
class Proxy:
    """A proxy's own address."""

    url: str


@contextlib.contextmanager
def proxy_before(server, name: str) -> Iterator[Proxy]:
    program, configuration, option = PROXIES[name]
    [binary] = need(program)
    with tempfile.TemporaryDirectory(prefix="tally-proxy-") as folder:
        port, file = unused_port(), Path(folder) / "conf"
        tally = server.url.removeprefix("http://")
        file.write_text(configuration.format(port=port, tally=tally, option=option, mark=MARK))
        if AS_NOBODY:
            os.chown(folder, NOBODY, NOBODY)
        command = {
            "haproxy": [binary, "-db", "-f", file],
            "nginx": [binary, "-e", "stderr", "-p", folder, "-c", file],
        }[program]
        process = subprocess.Popen(command, cwd=folder, **AS_NOBODY)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_answered(f"{url}/adder_service/healthz", process)
            yield Proxy(url)
        finally:
            process.terminate()
            process.wait(timeout=60)
