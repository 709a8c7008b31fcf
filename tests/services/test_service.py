"""What every service has, and where a path belongs."""

import re

import pytest

from tally.services.service import service_of


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/adder_service/entries", "adder"),
        ("/reset_service", "reset"),
        ("/", "display"),
        ("/other_service", "display"),
        ("/adder_services", "display"),
    ],
)
def test_a_path_belongs_to_a_service(path, service) -> None:
    assert service_of(path, default="display") == service


def test_a_method_that_a_resource_does_not_take_is_refused_with_those_it_takes(client) -> None:
    answer = client.put("/adder_service/entries")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    answer = client.delete("/display_service/total")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_static_files_are_kept_by_browsers(client, coding) -> None:
    client.headers["Accept-Encoding"] = coding
    etag = client.get("/reset_service/static/tally.css").headers["ETag"]
    right = etag.strip('"').removesuffix("-gzip")
    assert etag.endswith('-gzip"') == (coding == "gzip")
    for query, kept in (
        (f"?v={right}", True),
        ("", False),
        ("?v=", False),
        ("?v=anything", False),
        (f"?v={right}0", False),
        (f"?v={right[:-1]}", False),
        (f"?v={right.upper()}x", False),
        (f"?v={right}&v=anything", False),
        (f"?v=anything&v={right}", False),
    ):
        address = f"/reset_service/static/tally.css{query}"
        for headers, status in (({}, 200), ({"If-None-Match": etag}, 304)):
            answer = client.get(address, headers=headers)
            assert (answer.status_code, answer.headers["ETag"]) == (status, etag)
            assert bool(answer.content) == (status == 200)
            said = answer.headers["Cache-Control"]
            assert said == ("public, max-age=31536000, immutable" if kept else "no-cache"), query
    assert client.get("/reset_service/static/none.css").status_code == 404


PAGES = ["/", "/adder_service", "/display_service", "/reset_service"]


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/adder_service/static/tally.js"])
def test_pages_are_compressed_for_who_accepts_that(client, path) -> None:
    client.headers["Accept"] = "text/html"
    plain, compressed = (
        client.get(path, headers={"Accept-Encoding": coding}) for coding in ("identity", "gzip")
    )
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert int(compressed.headers["Content-Length"]) < len(plain.content) / 2
    head = client.head(path, headers={"Accept-Encoding": "gzip"})
    assert head.headers["Content-Encoding"] == "gzip"
    assert compressed.text.partition("</title>")[0] == plain.text.partition("</title>")[0]


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_links_is_kept(client, path) -> None:
    page = client.get(path, headers={"Accept": "text/html"}).text
    links = re.findall(r'"([^"]*/static/[^"]*)"', page)
    assert {"tally.css", "tally.js"} <= {link.split("/")[-1].split("?")[0] for link in links}
    for link in links:
        assert "immutable" in client.get(link).headers["Cache-Control"], link
