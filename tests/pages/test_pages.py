"""The pages as a whole: complete, escaped, labelled, and free of anything inline."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace as Some

import jinja2
import pytest

from tally import pages
from tally.amount import Amount
from tally.pages import Chart, Mark, Point

AT = datetime(2026, 11, 24, 9, 58, 12, tzinfo=UTC)
STATIC = "/adder_service/static/"
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}&lt;"
VOID = {"input", "link", "meta"}


def total(amount="40.5", count=2):
    return Some(sum=amount, count=count, last_id=count)


def entry(amount="12.5", **more):
    shown = {"id": 2, "value": amount, "sum_after": amount, "added_at": AT, "cleared": False}
    return {"kind": "entry", **shown, "undoable": False, **more}


def moved(amount, kind, **more):
    shown = {"id": 1, "after_id": 2, "count": 2, "value": amount, "sum_after": amount, "at": AT}
    return {"kind": kind, **shown, **more}


class View(Some):
    """What is asked of the display."""

    def query(self, **more):
        return "?" + "&".join(f"{name}={value}" for name, value in more.items())


def display(now, *, view=None, **shown):
    told = ("asked", "before_range", "chart", "extremes", "here", "last_reset")
    nothing = {"ended": True, "links": dict.fromkeys(("top", "newer", "older")), "rows": []}
    view = view or View(fixed=False, table=False, range_query={}, wanted=Some(span="all"))
    ranges = [("hour", "?range=hour"), ("all", "")]
    context = {"total": now, "view": view, "ranges": ranges, **dict.fromkeys(told), **nothing}
    return "display", {**context, **shown}


def history(amount):
    """The display's page with everything on it."""
    low, high = Point(AT, 1, Amount(-5)), Point(AT, 2, Amount(5))
    rows = [
        entry(amount, id=4, undoable=True),
        entry(amount, id=3, undoes=2),
        moved(amount, "undo"),
        {"kind": "earlier", "after_id": 2, "value": amount, "sum_after": amount},
        moved(amount, "reset", undone_at=AT),
        entry(amount, cleared=True, undone_by=3),
        moved(amount, "reset", id=2, undone_at=None),
    ]
    own = View(
        fixed=True, table=True, range_query={"from": "a", "to": "b"}, wanted=Some(span="all")
    )
    return {
        "view": own,
        "chart": Chart(AT, AT, Amount(0), [low, high], [Mark(AT, 1, undo=False)]),
        "extremes": (low, high),
        "rows": rows,
        "before_range": 1,
        "links": {"top": "", "newer": "?before=9", "older": "?before=2"},
        "last_reset": moved(amount, "reset", undone_at=AT),
        "asked": {"at": AT, "after_id": 2, "move": False, "sum": amount},
        "here": 2,
    }


def past(amount="40.5", *, number=3, undone_at=None, undoable=False):
    return Some(id=number, sum=amount, count=2, at=AT, undone_at=undone_at, undoable=undoable)


def adder(now, *, text="", several=False, **outcome):
    form = Some(text=text, several=several, comma=None)
    told = (
        *("added", "asked", "choices", "errors", "refused"),
        *("review", "undoing", "undone", "unsure"),
    )
    return "adder", {"total": now, "key": text, "form": form, **dict.fromkeys(told), **outcome}


def reset(now, resets, key="key", **outcome):
    told = ("asked", "confirming", "done", "error", "undoing", "undone", "unsure")
    paging = {"before": 60, "older": 9}
    context = {"total": now, "resets": resets, "key": key, **paging, **dict.fromkeys(told)}
    return "reset", {**context, **outcome}


def contexts(amount="40.5", text="some text"):
    """Every page in each of its states: amounts and free texts as given."""
    now = total(amount)
    added = Some(id=2, value=amount, sum=amount)
    batch = Some(first_id=2, last_id=4, sum=amount, undoable=True)
    summary = Some(sum=amount, count=30, first=[amount] * 20)
    resets = [
        past(amount, undoable=True),
        past(amount, number=2, undone_at=AT),
        past(amount, number=1),
    ]
    problem = {"status": 503, "title": text, "detail": text, "request_id": text}
    return [
        ("home", {"total": now}),
        ("home", {"total": None}),
        display(now, **history(amount)),
        display(
            now,
            chart=Chart(AT, AT, Amount(0), []),
            last_reset=moved(amount, "reset", undone_at=None),
            asked={"at": AT, "after_id": None, "move": False, "sum": None},
            here=7,
        ),
        display(now, ended=False),
        display(None),
        ("error", {**problem, "retry_after": 5}),
        ("error", {**problem, "retry_after": None}),
        adder(now, text=text),
        adder(now, text=text, errors=[text] * 7),
        adder(now, text=text, added=added),
        adder(now, text=text, added=batch),
        adder(now, text=text, choices=[("thousands", summary), ("point", summary)]),
        adder(now, text=text, several=True, review=summary),
        adder(now, text=text, several=True, errors=[text]),
        adder(None, text=text, unsure=True),
        adder(None, text=text, asked=text),
        adder(now, text=text, undone=Some(id=5, value=amount, sum=amount, undoes=3)),
        adder(None, text=text, undoing=(3, 3)),
        adder(None, text=text, undoing=(3, 9)),
        adder(now, text=text, undone=Some(first=5, last=7, sum=amount)),
        adder(now, text=text, refused=text),
        reset(now, resets, text, confirming=True),
        reset(now, resets, text),
        reset(now, resets, text, undoing=past(amount)),
        reset(now, resets, text, done=past(amount, undoable=True)),
        reset(now, resets, text, undone=past(amount)),
        reset(now, resets, text, error=text),
        reset(None, [], text, confirming=True, unsure="reset"),
        reset(None, [], text, undoing=Some(id=3), unsure="undo"),
        reset(None, [], text, asked=("done", 3)),
    ]


EVERY = [pytest.param(*pair, id=f"{pair[0]}-{n}") for n, pair in enumerate(contexts())]


def html(name, context):
    return pages.render(name, static=STATIC, **context).decode()


class Document(HTMLParser):
    """Elements with their attributes, and a check that each one is closed."""

    def __init__(self, markup):
        super().__init__()
        self.elements = []
        self._open = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.mark.parametrize(("name", "context"), EVERY)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(name, context):
    document = Document(html(name, context))
    for tag, attributes in document.elements:
        assert tag != "style"
        assert "style" not in attributes
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        for link in ("href", "src", "action"):
            # Relative, so that a proxy may serve Tally below a prefix.
            assert re.fullmatch(r"(\./.*|#main|)", attributes.get(link) or "")
    assert [script["src"] for script in document.all("script")] == [
        f".{STATIC}{script}?v={pages.static_files()[script].version}"
        for script in ("live.js", "morph.js", "tally.js", "times.js", "forms.js", "chart.js")[
            : 6 if name == "display" else 5
        ]
    ]


@pytest.mark.parametrize(("name", "context"), EVERY)
def test_a_page_has_one_heading_its_landmarks_and_unique_ids(name, context):
    document = Document(html(name, context))
    for tag in ("h1", "main", "nav", "header", "footer"):
        assert len(document.all(tag)) == 1
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = " ".join(
        attributes.get(reference, "")
        for _, attributes in document.elements
        for reference in ("aria-labelledby", "aria-describedby", "for")
    )
    assert set(named.split()) <= set(ids)


@pytest.mark.parametrize(("name", "context"), EVERY)
def test_every_visible_field_has_a_label(name, context):
    document = Document(html(name, context))
    labelled = [label["for"] for label in document.all("label")]
    fields = [field for field in document.all("input", "textarea") if field.get("type") != "hidden"]
    assert [field["id"] for field in fields] == labelled
    shows_list = name == "display" and context["chart"] is not None
    assert bool(labelled) == (name == "adder" or shows_list)


@pytest.mark.parametrize("name", ["home", "adder", "display", "reset"])
def test_the_navigation_marks_the_page_one_is_on(name):
    context = next(context for page, context in contexts() if page == name)
    marked = [
        link["href"]
        for link in Document(html(name, context)).all("a")
        if link.get("aria-current") == "page"
    ]
    assert marked == ["./" if name == "home" else f"./{name}_service"]


@pytest.mark.parametrize(
    ("name", "context"),
    [pytest.param(*pair, id=f"{pair[0]}-{n}") for n, pair in enumerate(contexts(HOSTILE, HOSTILE))],
)
def test_hostile_text_stays_text(name, context):
    page = html(name, context)
    assert "<script>alert" not in page
    assert "<img" not in page
    Document(page)
    told = name in ("adder", "error") or context["total"] is not None
    assert not told or "&lt;script&gt;alert(1)" in page


def test_a_hostile_prefix_stays_an_address():
    page = pages.render("home", static=HOSTILE, total=None).decode()
    assert "<script>alert" not in page
    Document(page)


@pytest.mark.parametrize("name", ["home", "adder", "display", "reset", "error"])
def test_whatever_a_page_is_not_told_is_an_error(name):
    context = next(context for page, context in contexts() if page == name)
    for left_out in context:
        partial = {key: value for key, value in context.items() if key != left_out}
        with pytest.raises(jinja2.UndefinedError):
            html(name, partial)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"no page named '\.\./base'"):
        pages.render("../base", static=STATIC)


def test_a_bad_value_is_kept_and_explained():
    document = Document(html(*adder(None, text="1,5,", errors=["No."])))
    field = next(field for field in document.all("input") if field.get("id") == "value")
    assert (field["value"], field["aria-invalid"]) == ("1,5,", "true")
    assert field["aria-describedby"].split()[0] == "errors"


def test_what_was_added_is_said_exactly():
    amount = "-1234.000000001"
    page = html(*adder(None, added=Some(value=amount, sum=amount)))
    assert 'aria-label="−1234.000000001"' in page
    assert "Added <data" in page


def test_confirming_shows_the_form_that_clears_and_a_way_out():
    page = html(*reset(total(), [], "once", confirming=True))
    assert 'name="action" value="reset"' in page
    assert 'name="key" value="once"' in page
    assert '<a class="button quiet" href="./reset_service">Cancel</a>' in page


@pytest.mark.parametrize("confirming", [False, True])
def test_nothing_can_be_cleared_from_an_empty_total(confirming):
    page = html(*reset(total("0", 0), [], confirming=confirming))
    shown = {
        part["data-when"]: "hidden" not in part
        for part in Document(page).all("div")
        if "data-when" in part
    }
    assert shown == {"empty": True, "filled": False}


def test_only_an_undoable_reset_offers_undo():
    resets = [past(undoable=True), past(undone_at=AT), past()]
    assert html(*reset(total(), resets)).count("?undo=3") == 1
    assert "?undo=" not in html(*reset(total(), resets[1:]))


@pytest.mark.parametrize(
    ("page", "title"),
    [
        (("home", {"total": total("-5")}), "−5 · A shared running total · Tally"),
        (("home", {"total": None}), "A shared running total · Tally"),
        (adder(total(), added=Some(value="-2", sum="1")), "Added −2 · Tally"),
        (adder(total(), added=Some(first_id=2, last_id=4, sum="1")), "Added 3 values · Tally"),
        (adder(total(), errors=["No."]), "Not added · Tally"),
        (adder(None, unsure=True), "Added or not? · Tally"),
        (reset(total(), [], done=past()), "Cleared 2 entries · Tally"),
        (reset(total(), [], undone=past()), "Undone: 2 entries came back · Tally"),
        (reset(None, [], unsure="reset"), "Cleared or not? · Tally"),
    ],
)
def test_a_title_says_what_was_done_or_the_total(page, title):
    assert f">{title}</title>" in html(*page)


@pytest.mark.parametrize(("name", "context"), EVERY)
def test_no_page_moves_by_itself_without_a_script(name, context):
    assert "http-equiv" not in html(name, context)


def test_static_files_carry_types_and_tags_of_their_content():
    files = pages.static_files()
    assert {name: file.content_type.split(";")[0] for name, file in files.items()} == {
        "tally.css": "text/css",
        "history.css": "text/css",
        "chart.js": "text/javascript",
        "forms.js": "text/javascript",
        "live.js": "text/javascript",
        "morph.js": "text/javascript",
        "tally.js": "text/javascript",
        "times.js": "text/javascript",
        "favicon.svg": "image/svg+xml",
    }
    assert len({file.etag for file in files.values()}) == len(files)
    assert all(re.fullmatch(r'"[0-9a-f]{16}"', file.etag) for file in files.values())
    assert pages.static_files() is files


def test_static_files_fetch_nothing_and_stay_small():
    for name, file in pages.static_files().items():
        body = file.body.decode()
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", body) == []
        assert "url(" not in body
        assert len(file.body) < 16_384, name


@pytest.mark.parametrize(
    "name", ["chart.js", "forms.js", "live.js", "morph.js", "tally.js", "times.js"]
)
def test_no_script_turns_an_amount_into_a_float(name):
    script = pages.static_files()[name].body.decode()
    assert re.findall(r"\b(Number|parseFloat|parseInt|innerHTML|eval)\b", script) == []
