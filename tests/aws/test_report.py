"""A report as text, as JSON and as one page."""

import json
import re
from dataclasses import replace

from tally.aws import report as reports


def test_the_text_shows_every_requirement_and_the_evidence_of_those_that_fail(report):
    text = reports.as_text(report)
    assert "ok    good: What good is about [EC2.2, CIS 5.5]\n" in text
    assert "no rules" not in text
    assert "FAIL  bad: What bad is about\n      ✗ sg-2 <b>: 0.0.0.0/0 on 22\n" in text
    assert "      waived: too dear (operator, until 2027-01-31)\n" in text
    assert "n/a   elsewhere: What elsewhere is about\n      -: there is no peering\n" in text
    assert text.endswith(
        "tally (production) in account 123456789012: not everything required is there:"
        " 1 pass, 1 fail, 1 waived, 1 not applicable"
    )


def test_the_text_shows_all_evidence_when_asked(report):
    assert "      sg-1: no rules\n" in reports.as_text(report, everything=True)


def test_the_text_shows_who_reaches_whom(report):
    lines = reports.as_text(report).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Reachability"))
    table = [re.split(r"\s{2,}", line) for line in lines[start + 1 : start + 5]]
    assert table == [
        ["", "load balancer", "adder"],
        ["the internet", "·", "! 22"],
        ["load balancer", "·", "8080"],
        ["adder", "! nothing", "·"],
    ]


def test_no_line_is_wider_than_the_terminal(report):
    assert max(map(len, reports.as_text(report, 60).splitlines()[:9])) <= 60


def test_the_json_has_everything(report):
    data = json.loads(reports.as_json(report))
    assert data["passed"] is False
    assert data["counts"] == {"pass": 1, "fail": 1, "waived": 1, "not applicable": 1}
    assert data["requirements"][1] == {
        "concern": "Network",
        "id": "bad",
        "required": "What bad is about",
        "controls": [],
        "status": "fail",
        "evidence": [{"subject": "sg-2 <b>", "good": False, "what": "0.0.0.0/0 on 22"}],
        "waiver": None,
    }
    assert data["requirements"][2]["waiver"]["expires"] == "2027-01-31"
    ports = {
        (it["from"], it["to"]): (it["found"], it["declared"])
        for it in data["reachability"]["ports"]
    }
    assert ports["the internet", "adder"] == (["22"], [])


def test_the_page_needs_nothing_else_and_trusts_nothing(report):
    page = reports.as_html(report)
    assert not re.search(r"<script|<link|<img|\bsrc=|\bhref=\"[^#]|url\(|@import", page)
    assert "sg-2 &lt;b&gt;" in page
    assert page.count("<details") == 4
    assert page.index('<a href="#bad">') < page.index('<a href="#waived">') < page.index("<nav")
    assert page.count('<details id="bad" class="fail" open>') == 1
    assert "25 November 2026 at 12:30 UTC" in page


def test_a_report_passes_without_failures_and_stale_waivers(report):
    good = replace(report, results=report.results[:1])
    assert good.passed
    assert "everything required is there" in reports.summary(good)
    stale = replace(good, stale_waivers=("x: there is no such requirement",))
    assert not stale.passed
    assert "FAIL  waiver x: there is no such requirement" in reports.as_text(stale)
    assert "x: there is no such requirement" in reports.as_html(stale)
