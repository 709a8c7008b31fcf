"""What every service has, and where a path belongs."""

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


def test_static_files_are_kept_by_browsers(client) -> None:
    answer = client.get("/reset_service/static/tally.css")
    assert "immutable" in answer.headers["Cache-Control"]
    again = client.get(answer.url.path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/reset_service/static/none.css").status_code == 404
