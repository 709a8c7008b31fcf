"""docs/proxies.md: its proxies are started as they stand there, but for ports and folders."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
import trustme

from tests.support.paths import ROOT
from tests.support.processes import Running, unused_port, wait_for
from tests.support.programs import need

NAME = "tally.example.com"
GUIDE = (ROOT / "docs/proxies.md").read_text()
NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    {example}
}}
"""
HAPROXY = """
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
{example}
"""
OPTIONS = {"nginx": ("-c",), "haproxy": ("-db", "-f")}


@pytest.fixture(scope="module")
def running(tally_up) -> Running:
    return tally_up(TALLY_HOSTS=NAME)


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def proxied(request, running) -> Iterator[httpx.Client]:
    """A client that takes the guide's proxy for the guide's name."""
    kind = request.param
    [program] = need(kind)
    [example] = re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)
    port = unused_port()
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        authority.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(
            folder / "tally.pem"
        )
        for written, here in (
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("bind :443", f"bind 127.0.0.1:{port}"),
            ("/etc/ssl", str(folder)),
            ("127.0.0.1:8080", running.url.removeprefix("http://")),
        ):
            example = example.replace(written, here)
        template = NGINX if kind == "nginx" else HAPROXY
        (folder / "conf").write_text(template.format(folder=folder, example=example))
        process = subprocess.Popen([program, *OPTIONS[kind], str(folder / "conf")])
        context = httpx.create_ssl_context()
        authority.configure_trust(context)
        transport = httpx.HTTPTransport(verify=context)

        def send(asked: httpx.Request) -> httpx.Response:
            # The name, as a browser has it; the address, as a resolver would give it.
            asked.extensions["sni_hostname"] = NAME
            asked.url = asked.url.copy_with(host="127.0.0.1", port=port)
            return transport.handle_request(asked)

        with httpx.Client(
            base_url=f"https://{NAME}/tally/", transport=httpx.MockTransport(send)
        ) as client:

            def answers() -> bool:
                assert process.poll() is None
                try:
                    return client.get("").status_code == 200
                except httpx.ConnectError:
                    return False

            wait_for(answers)
            yield client
        process.terminate()
        process.wait(timeout=60)


def links(page: httpx.Response) -> list[str]:
    found = re.findall(r'(?:href|src|action|data-events|data-live)="([^"#]+)"', page.text)
    return [urljoin(f"https://{NAME}{page.request.url.raw_path.decode()}", it) for it in found]


def test_every_link_leads_on_below_the_prefix(proxied) -> None:
    waiting, seen = [f"https://{NAME}/tally/"], set()
    while waiting:
        link = waiting.pop()
        if link in seen or "events" in link:
            continue
        seen.add(link)
        assert link.startswith(f"https://{NAME}/tally/")
        answer = proxied.get(link)
        assert answer.status_code == 200, link
        if "html" in answer.headers["content-type"]:
            waiting += links(answer)
    assert len(seen) > 10
    lost = proxied.get("adder_service/no/such/page", headers={"Accept": "text/html"})
    assert lost.status_code == 404
    assert f"https://{NAME}/tally/" in links(lost)
    assert all(link.startswith(f"https://{NAME}/tally/") for link in links(lost))


def test_forms_are_taken_from_its_pages_and_no_others(proxied) -> None:
    page = proxied.get("adder_service")
    key = re.search('name="key" value="([^"]+)"', page.text)[1]
    form = {"value": "2.5", "key": key}
    own = {"Origin": f"https://{NAME}"}
    refused = proxied.post("adder_service", data=form, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert 'value="2.5"' in refused.text
    added = proxied.post("adder_service", data=form, headers=own)
    assert added.status_code == 303
    target = urljoin(f"https://{NAME}/tally/adder_service", added.headers["Location"])
    assert 'id="added"' in proxied.get(target).text


def test_answers_ask_for_tls_and_streams_are_not_held_back(proxied) -> None:
    answer = proxied.get("display_service/total")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    with proxied.stream("GET", "display_service/events") as stream:
        assert next(stream.iter_lines()) == "event: total"


def test_without_tls_nothing_asks_for_it(running) -> None:
    answer = httpx.get(f"{running.url}/display_service/total")
    assert "Strict-Transport-Security" not in answer.headers
