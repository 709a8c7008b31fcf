"""What HTTP/1.1 asks of a server, as requests and their only right answers (RFC 9112, RFC 9110).

Each case names the section that decides it, and what that says. Where the RFC leaves a choice, the
case holds ours to the stricter one: what two parsers could read in two ways is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class Then(Enum):
    """What becomes of the connection after the answer."""

    OPEN = "the next request on the connection gets its answer"
    CLOSED = "the server closes, and answers nothing that follows"
    EITHER = "one of these, as the server likes"
    CUT = "the client has sent less than it announced, and ended; there may be no answer"


@dataclass(frozen=True)
class Right:
    """Which statuses are right, and what becomes of the connection."""

    statuses: frozenset[int]
    then: Then


def right(*statuses: int, then: Then) -> Right:
    return Right(frozenset(statuses), then)


@dataclass(frozen=True)
class Case:
    """`rule` is the section, and what it says; the RFC is 9112 unless it is named."""

    id: str
    rule: str
    text: str
    right: Right

    @property
    def sent(self) -> bytes:
        return self.text.encode("latin-1")

    @property
    def method(self) -> str:
        return "HEAD" if self.text.startswith("HEAD ") else "GET"

    @property
    def is_http_1_0(self) -> bool:
        return self.text.partition("\r\n")[0].endswith(" HTTP/1.0")


SEEN = right(200, then=Then.OPEN)
SEEN_LAST = right(200, then=Then.CLOSED)
ADDED = right(201, then=Then.OPEN)
ADDED_LAST = right(201, then=Then.CLOSED)
# Refused by its resource, which knows where the request ends.
NO_JSON = right(400, then=Then.OPEN)
NOT_FOUND = right(404, then=Then.OPEN)
NO_METHOD = right(405, 501, then=Then.OPEN)
NO_TYPE = right(415, then=Then.OPEN)
# Refused as a message. Where it ends is known, if its lines are right; to close is never wrong.
BAD = right(400, then=Then.EITHER)
NO_VERSION = right(505, then=Then.EITHER)
# Where the request ends can't be known.
UNFRAMED = right(400, then=Then.CLOSED)
NO_CODING = right(400, 501, then=Then.CLOSED)
NO_TUNNEL = right(501, then=Then.CLOSED)
TOO_LARGE = right(400, 413, 431, then=Then.CLOSED)
CUT = right(400, then=Then.CUT)

TOTAL = "/display_service/total"
HOST = "Host: localhost"
VALUE = '{"value":"1"}'
LENGTH = f"Content-Length: {len(VALUE)}"
CHUNKED = "Transfer-Encoding: chunked"
LAST = "0\r\n\r\n"
IN_CHUNKS = f"{len(VALUE):x}\r\n{VALUE}\r\n{LAST}"
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGFsbHkgdGFsbHkgdGFsbA==",
    "Sec-WebSocket-Version: 13",
)
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAA")


def request(line: str, *fields: str, host: str | None = HOST, body: str = "") -> str:
    head = [line, *([] if host is None else [host]), *fields, "", ""]
    return "\r\n".join(head) + body


def get(*fields: str, target: str = TOTAL, version: str = "HTTP/1.1", **more: str | None) -> str:
    return request(f"GET {target} {version}", *fields, **more)  # type: ignore[arg-type]


def add(*fields: str, body: str = VALUE, version: str = "HTTP/1.1", host: str = HOST) -> str:
    line = f"POST /adder_service/entries {version}"
    return request(line, "Content-Type: application/json", *fields, host=host, body=body)


def add_chunks(body: str, *fields: str) -> str:
    return add(CHUNKED, *fields, body=body)


# What a smuggler wants to be carried out.
STOLEN = add(LENGTH)
MANY_LINES = "\r\n" * 35_000


def each(
    id: str,  # noqa: A002 - as in Case
    rule: str,
    right: Right,
    texts: Mapping[str, str],
) -> Iterator[Case]:
    """Cases of one rule."""
    for name, text in texts.items():
        yield Case(f"{id}-{name}", rule, text, right)


REQUEST_LINE = (
    Case("total", "3: a request-line, fields, an empty line", get(), SEEN),
    Case("unknown", "RFC 9110, 15.5.5: no such resource", get(target="/none"), NOT_FOUND),
    *each(
        "line",
        "3: one SP between method, target and version; none is guessed",
        BAD,
        {
            "no-target": request("GET HTTP/1.1"),
            "no-method": request(f" {TOTAL} HTTP/1.1"),
            "two-spaces-before-target": request(f"GET  {TOTAL} HTTP/1.1"),
            "two-spaces-before-version": request(f"GET {TOTAL}  HTTP/1.1"),
            "space-at-end": request(f"GET {TOTAL} HTTP/1.1 "),
            "space-at-start": request(f" GET {TOTAL} HTTP/1.1"),
            "tab": request(f"GET\t{TOTAL} HTTP/1.1"),
            "tab-before-version": request(f"GET {TOTAL}\tHTTP/1.1"),
            "only-spaces": request("   "),
            "one-word": "NONSENSE\r\n\r\n",
            "http-0.9": f"GET {TOTAL}\r\n\r\n",
            "binary": "\x80\x01\x02\xff\xfe\x00\x16\x03\x01" * 9 + "\r\n\r\n",
        },
    ),
    *each(
        "target",
        "3.2: a target is visible ASCII without whitespace",
        BAD,
        {
            "space": get(target="/display_service/ total"),
            "nul": get(target=f"{TOTAL}\0"),
            "control": get(target=f"{TOTAL}\x01"),
            "delete": get(target=f"{TOTAL}\x7f"),
            "not-ascii": get(target="/caf\xe9"),
            "utf-8": get(target="/caf\xc3\xa9"),
            "overlong-utf-8": get(target="/display_service\xc0\xaftotal"),
        },
    ),
    Case(
        "target-overlong-escaped",
        "RFC 3629, 3: an overlong sequence must not be decoded, here to a slash",
        get(target="/display_service%C0%AFtotal"),
        right(400, 404, then=Then.OPEN),
    ),
    Case("target-star", "3.2.4: only OPTIONS may ask for *", get(target="*"), BAD),
    Case("target-star-post", "3.2.4: only OPTIONS may ask for *", request("POST * HTTP/1.1"), BAD),
    Case(
        "target-star-options",
        "3.2.4: OPTIONS * asks about the server as a whole",
        request("OPTIONS * HTTP/1.1"),
        right(200, 204, then=Then.OPEN),
    ),
    Case(
        "target-authority",
        "3.2.3: only CONNECT takes an authority",
        get(target="localhost:80"),
        BAD,
    ),
    Case("target-relative", "3.2.1: the path is absolute", get(target=TOTAL[1:]), BAD),
    Case(
        "target-absolute",
        "3.2.2: a server must accept the absolute form",
        get(target=f"http://localhost{TOTAL}"),
        SEEN,
    ),
    Case(
        "target-absolute-wins",
        "3.2.2: the target's authority replaces Host, here as the page that may add",
        add(LENGTH, "Origin: http://localhost", host="Host: 127.0.0.1").replace(
            "POST ", "POST http://localhost"
        ),
        ADDED,
    ),
    Case(
        "target-absolute-hides-host",
        "3.2.2: Host is ignored beside an authority, here as the page that may not add",
        add(LENGTH, "Origin: http://localhost").replace("POST ", "POST http://127.0.0.1"),
        right(403, then=Then.OPEN),
    ),
    Case(
        "target-absolute-without-host",
        "3.2: a request without Host is 400, whatever its target",
        get(target=f"http://localhost{TOTAL}", host=None),
        BAD,
    ),
    Case(
        "target-no-authority",
        "RFC 9110, 4.2.1: an http URI with an empty host must be rejected as invalid",
        get(target=f"http://{TOTAL}"),
        BAD,
    ),
    Case(
        "target-of-8000",
        "3: request-lines of 8000 octets should be supported",
        get(target="/" + "x" * 7900),
        NOT_FOUND,
    ),
    Case(
        "target-too-long",
        "3: a target longer than the server wants to parse must be 414",
        get(target="/" + "x" * 9000),
        right(414, then=Then.EITHER),
    ),
)

METHODS = (
    *each(
        "method",
        "3.1: a method is a token",
        BAD,
        {
            "parenthesis": request(f"GE(T {TOTAL} HTTP/1.1"),
            "comma": request(f"GET, {TOTAL} HTTP/1.1"),
            "nul": request(f"G\0T {TOTAL} HTTP/1.1"),
            "not-ascii": request(f"G\xc9T {TOTAL} HTTP/1.1"),
        },
    ),
    *each(
        "method",
        "RFC 9110, 9.1: methods are case-sensitive; an unknown one is refused",
        NO_METHOD,
        {
            "unknown": request(f"TALLY {TOTAL} HTTP/1.1"),
            "lower-case": request(f"get {TOTAL} HTTP/1.1"),
            "not-allowed": request(f"DELETE {TOTAL} HTTP/1.1"),
        },
    ),
    Case(
        "method-long",
        "3: a method longer than any that is implemented should be 501",
        request(f"{'X' * 500} {TOTAL} HTTP/1.1"),
        right(400, 405, 501, then=Then.EITHER),
    ),
    Case(
        "trace",
        "RFC 9110, 9.3.8: whoever does not echo refuses",
        request(f"TRACE {TOTAL} HTTP/1.1", "Authorization: Bearer secret"),
        NO_METHOD,
    ),
    Case(
        "trace-body",
        "RFC 9110, 9.3.8: TRACE has no content; 6.3: what is announced is still read",
        request(f"TRACE {TOTAL} HTTP/1.1", f"Content-Length: {len(STOLEN)}", body=STOLEN),
        right(400, 405, 501, then=Then.EITHER),
    ),
    *each(
        "connect",
        "RFC 9110, 9.3.6: after CONNECT comes a tunnel, or a refusal and nothing more",
        NO_TUNNEL,
        {
            "authority": request("CONNECT localhost:443 HTTP/1.1"),
            "body": request("CONNECT localhost:443 HTTP/1.1", LENGTH, body=VALUE),
            "chunks": request("CONNECT localhost:443 HTTP/1.1", CHUNKED, body=IN_CHUNKS),
            "then-add": request("CONNECT localhost:443 HTTP/1.1") + STOLEN,
        },
    ),
    *each(
        "connect-bad",
        "RFC 9110, 9.3.6: an empty or invalid port must be rejected",
        right(400, 501, then=Then.CLOSED),
        {
            "no-port": request("CONNECT localhost: HTTP/1.1"),
            "path": request(f"CONNECT {TOTAL} HTTP/1.1"),
        },
    ),
    *each(
        "head",
        "RFC 9110, 9.3.2: no answer to HEAD has content, whatever its status",
        right(200, 404, 405, then=Then.OPEN),
        {
            "total": request(f"HEAD {TOTAL} HTTP/1.1"),
            "page": request("HEAD / HTTP/1.1"),
            "unknown": request("HEAD /none HTTP/1.1"),
            "not-allowed": request("HEAD /adder_service/entries HTTP/1.1"),
        },
    ),
    *each(
        "unread",
        "6.3: content that a resource does not want is not the next request",
        right(200, 204, 400, 404, 405, 415, then=Then.EITHER),
        {
            f"{method.lower()}{target.replace('/', '-')}-{way}": request(
                f"{method} {target} HTTP/1.1", framing, body=body
            )
            for method, target in (
                ("GET", TOTAL),
                ("HEAD", TOTAL),
                ("OPTIONS", TOTAL),
                ("DELETE", TOTAL),
                ("POST", "/none"),
                ("POST", "/adder_service/entries"),
            )
            for way, framing, body in (
                ("length", f"Content-Length: {len(STOLEN)}", STOLEN),
                ("chunks", CHUNKED, f"{len(STOLEN):x}\r\n{STOLEN}\r\n{LAST}"),
            )
        },
    ),
    Case(
        "unread-start-of-a-request",
        "6.3: content that looks like the start of a request does not join the next one",
        get("Content-Length: 28", body="POST /none HTTP/1.1\r\nX-Head:"),
        right(200, 400, then=Then.EITHER),
    ),
)

VERSIONS = (
    *each(
        "version",
        "2.3: HTTP, a slash, a digit, a dot, a digit; case-sensitive",
        BAD,
        {
            "lower-case": get(version="http/1.1"),
            "no-minor": get(version="HTTP/1"),
            "no-minor-dot": get(version="HTTP/1."),
            "no-number": get(version="HTTP/"),
            "leading-zeros": get(version="HTTP/01.01"),
            "two-digits": get(version="HTTP/1.10"),
            "three-parts": get(version="HTTP/1.1.1"),
            "comma": get(version="HTTP/1,1"),
            "space": get(version="HTTP/ 1.1"),
            "other-name": get(version="ICY/1.1"),
            "sign": get(version="HTTP/+1.1"),
        },
    ),
    *each(
        "version",
        "RFC 9110, 15.6.6: another major version is not supported",
        NO_VERSION,
        {
            "0.9": get(version="HTTP/0.9"),
            "2.0": get(version="HTTP/2.0"),
            "9.9": get(version="HTTP/9.9"),
        },
    ),
    Case(
        "version-preface",
        "RFC 9113, 3.4: what speaks HTTP/2 at once learns that it is not spoken",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        right(400, 505, then=Then.CLOSED),
    ),
    *each(
        "version",
        "RFC 9110, 2.5: a higher minor version is processed as the highest known one",
        SEEN,
        {"1.2": get(version="HTTP/1.2"), "1.9": get(version="HTTP/1.9")},
    ),
    Case("1.0", "9.3: HTTP/1.0 does not persist unless asked", get(version="HTTP/1.0"), SEEN_LAST),
    Case("1.0-add", "9.3: likewise with content", add(LENGTH, version="HTTP/1.0"), ADDED_LAST),
    Case(
        "1.0-keep-alive",
        "9.3: HTTP/1.0 may be kept alive on request",
        get("Connection: keep-alive", version="HTTP/1.0"),
        right(200, then=Then.EITHER),
    ),
    Case(
        "1.0-no-host",
        "3.2: only HTTP/1.1 must send Host",
        get(version="HTTP/1.0", host=None),
        right(200, 400, then=Then.CLOSED),
    ),
    Case(
        "1.0-two-hosts",
        "3.2: more than one Host is 400 in any version",
        get("Host: localhost", version="HTTP/1.0"),
        UNFRAMED,
    ),
    Case(
        "1.0-stream",
        "6.1: no Transfer-Encoding to HTTP/1.0; the end of the connection ends the content",
        get(target="/display_service/entries.csv", version="HTTP/1.0"),
        SEEN_LAST,
    ),
    *each(
        "1.0-coding",
        "6.1: Transfer-Encoding in HTTP/1.0 is faulty framing, even beside a length",
        UNFRAMED,
        {
            "chunked": add(CHUNKED, version="HTTP/1.0", body=IN_CHUNKS),
            "and-length": add(LENGTH, CHUNKED, version="HTTP/1.0"),
            "kept": add(CHUNKED, "Connection: keep-alive", version="HTTP/1.0", body=IN_CHUNKS),
        },
    ),
)

LINES = (
    *each(
        "bare-lf",
        "2.2: a line ends with CRLF; LF alone may be taken, and isn't",
        BAD,
        {
            "request-line": get().replace("HTTP/1.1\r", "HTTP/1.1"),
            "field": get("X-A: 1\nX-B: 2"),
            "before-empty-line": get("X-A: 1")[:-4] + "\n\r\n",
            "empty-line": get("X-A: 1")[:-2] + "\n",
            "everywhere": get().replace("\r", ""),
            "before-request": "\n" + get(),
        },
    ),
    *each(
        "bare-cr",
        "2.2: a bare CR makes its element invalid",
        BAD,
        {
            "request-line": get().replace("HTTP/1.1\r\n", "HTTP/1.1\r"),
            "target": get(target="/display\rservice"),
            "name": get("X\rA: 1"),
            "value": get("X-A: 1\r2"),
            "hidden-field": get("X-A: 1\rContent-Length: 5"),
            "end-of-value": get("X-A: 1\r"),
            "everywhere": get().replace("\n", "") + "\r\n\r\n",
            "coding": add("Transfer-Encoding: \rchunked", body=IN_CHUNKS),
        },
    ),
    Case("empty-line", "2.2: an empty line before a request is ignored", "\r\n" + get(), SEEN),
    Case("empty-line-after", "2.2: likewise after content", add(LENGTH) + "\r\n", ADDED),
    Case("empty-lines", "2.2: more need not be ignored, and aren't", "\r\n\r\n" + get(), BAD),
    *each(
        "space-before-fields",
        "2.2: whitespace between the request-line and the first field is rejected",
        BAD,
        {
            "line": request(f"GET {TOTAL} HTTP/1.1", HOST, host=" "),
            "field": request(f"GET {TOTAL} HTTP/1.1", host=f" {HOST}"),
            "tab": request(f"GET {TOTAL} HTTP/1.1", host=f"\t{HOST}"),
            "length": add(LENGTH, host=f" X-A: 1\r\n{HOST}"),
        },
    ),
    *each(
        "fold",
        "5.2: a folded line is rejected with 400",
        BAD,
        {
            "space": get("X-A: 1\r\n 2"),
            "tab": get("X-A: 1\r\n\t2"),
            "empty": get("X-A:\r\n 2"),
            "blank": get("X-A: 1\r\n "),
            "host": get(host="Host:\r\n localhost"),
            "length": add("Content-Length:\r\n 13"),
            "coding": add("Transfer-Encoding:\r\n chunked", body=IN_CHUNKS),
            "coding-and-length": add("Transfer-Encoding:\r\n chunked", LENGTH) + STOLEN,
            "hides-coding": add(f"X-A: 1\r\n {CHUNKED}", LENGTH),
            "options": request(
                f"OPTIONS {TOTAL} HTTP/1.1", "Transfer-Encoding:\r\n chunked", body=LAST
            ),
        },
    ),
)

FIELDS = (
    *each(
        "colon",
        "5.1: whitespace between name and colon must be 400",
        BAD,
        {
            "space": get("X-A : 1"),
            "tab": get("X-A\t: 1"),
            "host": get(host="Host : localhost"),
            "length": add("Content-Length : 13"),
            "coding": add("Transfer-Encoding : chunked", body=IN_CHUNKS),
            "coding-and-length": add("Transfer-Encoding : chunked", LENGTH),
        },
    ),
    *each(
        "name",
        "5: a name is a token, and a colon follows",
        BAD,
        {
            "empty": get(": 1"),
            "no-colon": get("X-A"),
            "bracket": get("X[A: 1"),
            "parenthesis": get("X(A: 1"),
            "slash": get("X/A: 1"),
            "quote": get('X"A: 1'),
            "space": get("X A: 1"),
            "tab": get("X\tA: 1"),
            "nul": get("X\0A: 1"),
            "control": get("X\x01A: 1"),
            "not-ascii": get("X-\xc4: 1"),
            "length": add("Content\x00-Length: 13"),
        },
    ),
    *each(
        "value",
        "RFC 9110, 5.5: CR, LF and NUL in a value are invalid and dangerous; so is any control",
        BAD,
        {
            "nul": get("X-A: 1\x002"),
            "nul-alone": get("X-A: \x00"),
            "control": get("X-A: 1\x012"),
            "bell": get("X-A: \x07"),
            "vertical-tab": get("X-A: 1\x0b2"),
            "form-feed": get("X-A: 1\x0c2"),
            "escape": get("X-A: \x1b[31m"),
            "delete": get("X-A: 1\x7f2"),
            "cookie": get("Cookie: a=1\x002"),
        },
    ),
    *each(
        "value",
        "RFC 9110, 5.5: tabs, and bytes above ASCII, may be in a value; it may be empty",
        SEEN,
        {"tab": get("X-A: 1\t2"), "not-ascii": get("X-A: caf\xe9"), "empty": get("X-A:")},
    ),
    *each(
        "field",
        "RFC 9110, 5.1 and 5.5: names in any case; whitespace around a value is no part of it",
        ADDED,
        {
            "case": add(LENGTH.upper(), host="hOST: localhost"),
            "case-of-coding": add(CHUNKED.upper(), body=IN_CHUNKS),
            "no-space": add("Content-Length:13"),
            "tabs": add("Content-Length:\t13\t"),
            "spaces": add("Content-Length:   13  "),
        },
    ),
    *each(
        "underscore",
        "RFC 9110, 5.1: a name with an underscore is another name",
        SEEN,
        {"length": get("Content_Length: 5"), "coding": get("Transfer_Encoding: chunked")},
    ),
    *each(
        "too-large",
        "RFC 9110, 5.4: fields larger than the server wants to process must be a 4xx",
        right(431, then=Then.EITHER),
        {
            "value": get("X-A: " + "x" * 33_000),
            "name": get("X" * 33_000 + ": 1"),
            "many": get(*(f"X-{number}: 1" for number in range(150))),
        },
    ),
)

HOSTS = (
    Case("host-missing", "3.2: a request without Host must be 400", get(host=None), BAD),
    Case("host-missing-add", "3.2: likewise", add(LENGTH).replace(f"{HOST}\r\n", ""), BAD),
    Case("host-twice", "3.2: more than one Host must be 400", get("Host: 127.0.0.1"), BAD),
    Case("host-twice-same", "3.2: even with the same value", get(HOST), BAD),
    *each(
        "host",
        "3.2: an invalid Host must be 400; RFC 9110, 7.2: it is a host and a port",
        BAD,
        {
            name: get(host=f"Host: {value}")
            for name, value in {
                "empty": "",
                "path": "localhost/display_service",
                "slash": "localhost/",
                "user": "me@localhost",
                "query": "localhost?x",
                "fragment": "localhost#x",
                "list": "localhost, 127.0.0.1",
                "list-same": "localhost,localhost",
                "space": "local host",
                "port": "localhost:http",
                "two-ports": "localhost:80:80",
                "negative-port": "localhost:-80",
                "only-port": ":80",
                "scheme": "http://localhost",
                "bracket": "[::1",
                "brackets": "[localhost",
                "backslash": "localhost\\x",
                "not-ascii": "l\xf6calhost",
                "escape": "local%host",
            }.items()
        },
    ),
    *each(
        "host",
        "RFC 9110, 7.2: a name in any case, an address, with or without a port",
        SEEN,
        {
            name: get(host=f"Host: {value}")
            for name, value in {
                "ported": "localhost:8080",
                "port-empty": "localhost:",
                "case": "LocalHost",
                "address": "127.0.0.1:80",
                "address-6": "[::1]:8080",
            }.items()
        },
    ),
)

LENGTHS = (
    Case("length", "6.2: a Content-Length is the length", add(LENGTH), ADDED),
    *each(
        "length",
        "6.3: an invalid Content-Length must be 400, and the connection closed",
        UNFRAMED,
        {
            name: add(f"Content-Length: {value}") + STOLEN
            for name, value in {
                "word": "abc",
                "empty": "",
                "plus": "+13",
                "minus": "-13",
                "minus-zero": "-0",
                "hex": "0xd",
                "octal": "0o15",
                "underscore": "1_3",
                "inner-space": "1 3",
                "suffix": "13a",
                "point": "13.0",
                "exponent": "13e0",
                "quoted": '"13"',
                "semicolon": "13;",
                "arabic": "\xd9\xa1\xd9\xa3",
                "nul": "13\0",
                "vertical-tab": "\x0b13",
                "no-break-space": "13\xa0",
                "list": "13, 14",
                "list-same": "13, 13",
                "list-of-three": "13,13,13",
                "list-empty": "13,",
            }.items()
        },
    ),
    *each(
        "lengths",
        "RFC 9110, 8.6: several lengths are invalid; the same one may be taken, and isn't",
        UNFRAMED,
        {
            "differ": add(LENGTH, "Content-Length: 14") + STOLEN,
            "differ-longer-first": add("Content-Length: 14", LENGTH) + STOLEN,
            "zero-first": add("Content-Length: 0", LENGTH),
            "same": add(LENGTH, LENGTH),
            "hide-a-request": add("Content-Length: 13", f"Content-Length: {13 + len(STOLEN)}")
            + STOLEN,
        },
    ),
    *each(
        "length-huge",
        "RFC 9110, 8.6: a large number must not overflow; here it would wrap to the right one",
        right(400, 413, then=Then.CLOSED),
        {
            "2^32": add(f"Content-Length: {2**32 + 13}") + STOLEN,
            "2^64": add(f"Content-Length: {2**64 + 13}") + STOLEN,
            "10^30": add(f"Content-Length: {10**30}") + STOLEN,
            "of-5000-digits": add(f"Content-Length: {'9' * 5000}") + STOLEN,
        },
    ),
    *each(
        "length-zeros",
        "RFC 9110, 8.6: one or more digits, decimal, however they begin",
        ADDED,
        {"two": add("Content-Length: 0013"), "nine": add("Content-Length: 00000000013")},
    ),
    Case(
        "length-zeros-many",
        "RFC 9110, 8.6: likewise, or refused where there are too many",
        add(f"Content-Length: {'0' * 5000}13"),
        right(201, 400, 413, then=Then.EITHER),
    ),
    Case("length-double-zero", "RFC 9110, 8.6: likewise", get("Content-Length: 00"), SEEN),
    Case("length-zero", "6.2: no content", add("Content-Length: 0", body=""), NO_JSON),
    Case("length-none", "6.3: without a length there is no content", add(body=""), NO_JSON),
    *each(
        "cut",
        "8: a message that ends early is incomplete; nothing of it is carried out",
        CUT,
        {
            "nothing": "",
            "empty-line": "\r\n",
            "request-line": f"GET {TOTAL} HT",
            "head": get()[:-2],
            "head-of-add": add(LENGTH, body="")[:-2],
            "no-content": add(LENGTH, body=""),
            "content": add(LENGTH)[:-1],
            "whole-value-in-less": add("Content-Length: 14"),
            "upgrade": add(*H2C, "Content-Length: 14"),
            "chunk-size": add_chunks("d"),
            "chunk": add_chunks(f"e\r\n{VALUE}"),
            "no-end-of-chunk": add_chunks(f"d\r\n{VALUE}"),
            "no-last-chunk": add_chunks(f"d\r\n{VALUE}\r\n"),
            "last-chunk": add_chunks(IN_CHUNKS[:-4]),
            "no-last-line": add_chunks(IN_CHUNKS[:-2]),
            "in-trailer": add_chunks(IN_CHUNKS[:-2] + "X-A: 1\r\n"),
        },
    ),
    Case(
        "cut-too-large",
        "8: likewise; it may also be refused before its end",
        add("Content-Length: 20000000"),
        right(400, 413, then=Then.CUT),
    ),
)

BOTH = "6.1: both lengths may be an attack; the connection must close, and we refuse"
CODING = "6.3: chunked must be the final coding, else 400 and close; an unknown one is 501"
CODINGS = (
    *each(
        "both",
        BOTH,
        UNFRAMED,
        {
            "length-first": add(LENGTH, CHUNKED, body=IN_CHUNKS),
            "coding-first": add(CHUNKED, LENGTH, body=IN_CHUNKS),
            "length-right": add(f"Content-Length: {len(IN_CHUNKS)}", CHUNKED, body=IN_CHUNKS),
            "length-zero": add("Content-Length: 0", CHUNKED, body=IN_CHUNKS),
            "poison": add("Content-Length: 6", CHUNKED, body=f"{LAST}X"),
            "poison-reversed": add(CHUNKED, "Content-Length: 30", body=f"{LAST}X"),
            "hides-get": add(f"Content-Length: {len(LAST + get())}", CHUNKED, body=LAST + get()),
            "hides-head": add(
                "Content-Length: 99", CHUNKED, body=LAST + request(f"HEAD {TOTAL} HTTP/1.1")
            ),
            "hides-add": add(f"Content-Length: {len(LAST + STOLEN)}", CHUNKED, body=LAST + STOLEN),
            "hides-add-in-chunk": add(
                CHUNKED, "Content-Length: 4", body=f"{len(STOLEN):x}\r\n{STOLEN}\r\n{LAST}"
            ),
            "length-plus": add("Content-Length: +6", CHUNKED, body=LAST + STOLEN),
            "length-suffix": add("Content-Length: 6a", CHUNKED, body=LAST + STOLEN),
            "length-empty": add("Content-Length:", CHUNKED, body=IN_CHUNKS),
            "coding-case": add(LENGTH, "Transfer-Encoding: Chunked", body=LAST + STOLEN),
            "get": get(LENGTH, CHUNKED, body=LAST + STOLEN),
            "kept": add(LENGTH, CHUNKED, "Connection: keep-alive", body=IN_CHUNKS),
            "upgrade": add(*H2C, LENGTH, CHUNKED, body=IN_CHUNKS),
        },
    ),
    *each(
        "coding",
        CODING,
        NO_CODING,
        {
            name: add(f"Transfer-Encoding: {value}", body=IN_CHUNKS) + STOLEN
            for name, value in {
                "gzip": "gzip",
                "gzip-chunked": "gzip, chunked",
                "chunked-gzip": "chunked, gzip",
                "chunked-twice": "chunked, chunked",
                "unknown": "xchunked",
                "unknown-chunked": "tally, chunked",
                "suffix": "chunkedx",
                "identity": "identity",
                "identity-chunked": "identity, chunked",
                "chunked-identity": "chunked, identity",
                "parameter": "chunked;q=1",
                "empty": "",
                "only-comma": ",",
                "quoted": '"chunked"',
                "two-words": "chunked chunked",
                "inner-space": "chun ked",
                "vertical-tab": "\x0bchunked",
                "form-feed": "\x0cchunked",
                "form-feed-after": "chunked\x0c",
                "nul": "chunked\0",
                "no-break-space": "\xa0chunked",
                "long-s": "chunked\xc5\xbf",
            }.items()
        },
    ),
    *each(
        "codings",
        CODING,
        NO_CODING,
        {
            "chunked-twice": add(CHUNKED, CHUNKED, body=IN_CHUNKS) + STOLEN,
            "chunked-identity": add(CHUNKED, "Transfer-Encoding: identity", body=IN_CHUNKS),
            "identity-chunked": add("Transfer-Encoding: identity", CHUNKED, body=IN_CHUNKS),
            "gzip-chunked": add("Transfer-Encoding: gzip", CHUNKED, body=IN_CHUNKS),
            "chunked-empty": add(CHUNKED, "Transfer-Encoding:", body=IN_CHUNKS),
            "identity-length": add("Transfer-Encoding: identity", LENGTH),
            "unknown-length": add("Transfer-Encoding: xchunked", LENGTH) + STOLEN,
            "chunked-identity-length": add(CHUNKED, "Transfer-Encoding: identity", LENGTH) + STOLEN,
            "trailing-space-length": add("Transfer-Encoding: chunked ", LENGTH, body=LAST + STOLEN),
            "leading-comma-length": add("Transfer-Encoding: , chunked", LENGTH, body=LAST + STOLEN),
        },
    ),
    *each(
        "chunked",
        "7: names of codings in any case; RFC 9110, 5.5: whitespace around is no part",
        ADDED,
        {
            name: add(f"Transfer-Encoding:{value}", body=IN_CHUNKS)
            for name, value in {
                "case": " Chunked",
                "upper-case": " CHUNKED",
                "tab": "\tchunked",
                "trailing-space": " chunked ",
            }.items()
        },
    ),
    *each(
        "chunked",
        "RFC 9110, 5.6.1.2: empty elements of a list are ignored, or the message refused",
        right(201, 400, 501, then=Then.EITHER),
        {
            "comma-after": add("Transfer-Encoding: chunked,", body=IN_CHUNKS),
            "comma-before": add("Transfer-Encoding: , chunked", body=IN_CHUNKS),
        },
    ),
)

CHUNK = "7.1: a chunk is a hexadecimal size, CRLF, that much data, CRLF"
EXTENSION = "7.1.1: an extension is a semicolon and a name, perhaps with a value"
CHUNKS = (
    *each(
        "chunks",
        "7.1: a recipient must be able to decode chunks",
        ADDED,
        {
            "one": add_chunks(IN_CHUNKS),
            "many": add_chunks("".join(f"1\r\n{byte}\r\n" for byte in VALUE) + LAST),
            "upper-case": add_chunks(f"D\r\n{VALUE}\r\n{LAST}"),
            "two-digits": add_chunks(f"1A\r\n{VALUE:<26}\r\n{LAST}"),
            "zeros": add_chunks(f"000d\r\n{VALUE}\r\n{LAST}"),
            "zeros-last": add_chunks(f"d\r\n{VALUE}\r\n000\r\n\r\n"),
            "kept": add_chunks(IN_CHUNKS, "Connection: keep-alive"),
        },
    ),
    Case("chunks-empty", "7.1: no chunk but the last is no content", add_chunks(LAST), NO_JSON),
    Case("chunks-get", "6.3: likewise for GET", get(CHUNKED, body=LAST), SEEN),
    *each(
        "extension",
        "7.1.1: unrecognized extensions must be ignored",
        ADDED,
        {
            "name": add_chunks(f"d;a\r\n{VALUE}\r\n{LAST}"),
            "value": add_chunks(f"d;a=1\r\n{VALUE}\r\n{LAST}"),
            "quoted": add_chunks(f'd;a="b c"\r\n{VALUE}\r\n{LAST}'),
            "two": add_chunks(f"d;a=1;b=2\r\n{VALUE}\r\n{LAST}"),
            "last": add_chunks(f"d\r\n{VALUE}\r\n0;a=1\r\n\r\n"),
        },
    ),
    *each(
        "extension",
        EXTENSION,
        UNFRAMED,
        {
            "no-name": add_chunks(f"d;\r\n{VALUE}\r\n{LAST}"),
            "bracket": add_chunks(f"d;[=1\r\n{VALUE}\r\n{LAST}"),
            "nul": add_chunks(f"d;a=\0\r\n{VALUE}\r\n{LAST}"),
            "control": add_chunks(f"d;a=\x01\r\n{VALUE}\r\n{LAST}"),
            "cr": add_chunks(f"d;a\rb\r\n{VALUE}\r\n{LAST}"),
            "lf": add_chunks(f"d;a\n{VALUE}\r\n{LAST}"),
            "only-of-last": add_chunks(f"d\r\n{VALUE}\r\n0;\0\r\n\r\n"),
        },
    ),
    Case(
        "extension-of-64-kib",
        "7.1.1: a server ought to limit the length of extensions",
        add_chunks(f"d;{'a' * 65536}\r\n{VALUE}\r\n{LAST}"),
        TOO_LARGE,
    ),
    *each(
        "chunk-size",
        CHUNK,
        UNFRAMED,
        {
            name: add_chunks(f"{value}\r\n{VALUE}\r\n{LAST}") + STOLEN
            for name, value in {
                "empty": "",
                "word": "size",
                "prefix": "0xd",
                "underscore": "0_d",
                "plus": "+d",
                "minus": "-d",
                "space-before": " d",
                "space-after": "d ",
                "tab-after": "d\t",
                "inner-space": "0 d",
                "point": "d.0",
                "comma": "d,d",
                "quoted": '"d"',
                "only-extension": ";a=1",
                "nul": "d\0",
                "full-width": "\xef\xbd\x84",
            }.items()
        },
    ),
    *each(
        "chunk-huge",
        "7.1: a large size must not overflow; here it would wrap to the right one",
        right(400, 413, then=Then.CUT),
        {
            "2^32": add_chunks(f"{2**32 + 13:x}\r\n{VALUE}\r\n{LAST}"),
            "2^64": add_chunks(f"{2**64 + 13:x}\r\n{VALUE}\r\n{LAST}"),
            "20-digits": add_chunks(f"{'f' * 20}\r\n{VALUE}\r\n{LAST}"),
            "5000-digits": add_chunks(f"{'f' * 5000}\r\n{VALUE}\r\n{LAST}"),
        },
    ),
    *each(
        "chunk",
        CHUNK,
        UNFRAMED,
        {
            "no-end": add_chunks(f"d\r\n{VALUE}{LAST}"),
            "longer": add_chunks(f"d\r\n{VALUE}xx\r\n{LAST}"),
            "shorter": add_chunks(f"e\r\n{VALUE}\r\n{LAST}"),
            "lf-after-size": add_chunks(f"d\n{VALUE}\r\n{LAST}"),
            "cr-after-size": add_chunks(f"d\r{VALUE}\r\n{LAST}"),
            "lf-after-data": add_chunks(f"d\r\n{VALUE}\n{LAST}"),
            "cr-after-data": add_chunks(f"d\r\n{VALUE}\r{LAST}"),
            "lf-after-last": add_chunks(f"d\r\n{VALUE}\r\n0\n\r\n"),
            "lf-at-end": add_chunks(f"d\r\n{VALUE}\r\n0\r\n\n"),
            "cr-at-end": add_chunks(f"d\r\n{VALUE}\r\n0\r\n\r"),
            "plus-last": add_chunks(f"d\r\n{VALUE}\r\n+0\r\n\r\n") + STOLEN,
            "minus-last": add_chunks(f"d\r\n{VALUE}\r\n-0\r\n\r\n") + STOLEN,
        },
    ),
    *each(
        "trailer",
        "RFC 9110, 6.5.1: a trailer is no header, and frames nothing",
        ADDED,
        {
            name: add_chunks(f"d\r\n{VALUE}\r\n0\r\n{field}\r\n\r\n")
            for name, field in {
                "any": "X-Checksum: 1",
                "two": "X-A: 1\r\nX-B: 2",
                "length": f"Content-Length: {len(STOLEN)}",
                "coding": CHUNKED,
                "host": "Host: evil.example",
                "authorization": "Authorization: Bearer secret",
                "type": "Content-Type: text/plain",
                "connection": "Connection: close",
                "expect": "Expect: 100-continue",
            }.items()
        },
    ),
    Case(
        "trailer-for-header",
        "RFC 9110, 6.5.1: a trailer does not stand in for a header, here the content's type",
        request(
            "POST /adder_service/entries HTTP/1.1",
            CHUNKED,
            body=f"d\r\n{VALUE}\r\n0\r\nContent-Type: application/json\r\n\r\n",
        ),
        NO_TYPE,
    ),
    *each(
        "trailer-bad",
        "7.1.2: trailers are field lines as in a head",
        UNFRAMED,
        {
            name: add_chunks(f"d\r\n{VALUE}\r\n0\r\n{line}\r\n\r\n")
            for name, line in {
                "no-colon": "X-A",
                "space-before-colon": "X-A : 1",
                "fold": "X-A: 1\r\n 2",
                "fold-first": " X-A: 1",
                "empty-name": ": 1",
                "name": "X[A: 1",
                "nul": "X-A: 1\x002",
                "cr": "X-A: 1\r2",
                "lf": "X-A: 1\nX-B: 2",
                "request": f"GET {TOTAL} HTTP/1.1",
            }.items()
        },
    ),
    Case(
        "trailer-too-large",
        "RFC 9110, 5.4: fields are bounded, in a trailer too",
        add_chunks(f"d\r\n{VALUE}\r\n0\r\n" + f"X-A: {'x' * 1000}\r\n" * 64 + "\r\n"),
        TOO_LARGE,
    ),
)

CONNECTION = (
    *each(
        "close",
        "9.6: after the answer to a request with close the server closes",
        right(200, 201, 400, 404, 415, then=Then.CLOSED),
        {
            "get": get("Connection: close"),
            "case": get("Connection: Close"),
            "list": get("Connection: x-a, close"),
            "two-lines": get("Connection: x-a", "Connection: close"),
            "head": request(f"HEAD {TOTAL} HTTP/1.1", "Connection: close"),
            "add": add(LENGTH, "Connection: close"),
            "chunks": add_chunks(IN_CHUNKS, "Connection: close"),
            "unknown": get("Connection: close", target="/none"),
            "no-content": add("Connection: close", body=""),
            "then-add": get("Connection: close") + STOLEN,
            "upgrade": get("Connection: Upgrade, close", "Upgrade: websocket"),
        },
    ),
    Case("keep-alive", "9.3: HTTP/1.1 persists", get("Connection: keep-alive"), SEEN),
    Case("connection-unknown", "RFC 9110, 7.6.1: unknown options", get("Connection: x-a"), SEEN),
)

UPGRADE = "RFC 9110, 7.8: Upgrade may be ignored; 6.3: the request ends where it does without it"
UPGRADES = (
    *each(
        "upgrade",
        UPGRADE,
        SEEN,
        {
            "websocket": get(*WEBSOCKET),
            "h2c": get(*H2C),
            "unknown": get("Connection: Upgrade", "Upgrade: tally/1.0"),
            "list": get("Connection: Upgrade", "Upgrade: h2c, websocket"),
            "no-option": get(*WEBSOCKET[1:]),
            "only-option": get("Connection: Upgrade"),
            "old-version": get(*WEBSOCKET[:-1], "Sec-WebSocket-Version: 99"),
            "tls": get("Connection: Upgrade", "Upgrade: TLS/1.0"),
            "length-zero": get(*H2C, "Content-Length: 0"),
        },
    ),
    *each(
        "upgrade-add",
        UPGRADE,
        ADDED,
        {
            f"{name}-{way}": add(*fields, framing, body=body)
            for name, fields in {
                "websocket": WEBSOCKET,
                "h2c": H2C,
                "unknown": ("Connection: Upgrade", "Upgrade: tally/1.0"),
                "no-option": ("Upgrade: h2c",),
                "only-option": ("Connection: upgrade",),
            }.items()
            for way, framing, body in (
                ("length", LENGTH, VALUE),
                ("chunks", CHUNKED, IN_CHUNKS),
            )
        },
    ),
    *each(
        "upgrade-hides",
        UPGRADE,
        right(400, 404, 415, 422, then=Then.OPEN),
        {
            "add": add(*H2C, f"Content-Length: {len(STOLEN)}", body=STOLEN),
            "add-in-chunk": add_chunks(f"{len(STOLEN):x}\r\n{STOLEN}\r\n{LAST}", *H2C),
            # More than is read at once.
            "add-after-lines": add(
                *WEBSOCKET,
                f"Content-Length: {len(MANY_LINES + STOLEN)}",
                body=MANY_LINES + STOLEN,
            ),
            "type": add(*WEBSOCKET, LENGTH).replace("json", "xml"),
            "unknown": add(*WEBSOCKET, LENGTH).replace("/entries", "/none"),
            "reset": request(
                "POST /reset_service/resets HTTP/1.1",
                "Content-Type: application/json",
                *H2C,
                LENGTH,
                body=VALUE,
            ),
        },
    ),
    Case(
        "upgrade-1.0",
        "RFC 9110, 7.8: Upgrade in HTTP/1.0 must be ignored",
        get(*WEBSOCKET, version="HTTP/1.0"),
        SEEN_LAST,
    ),
    Case(
        "upgrade-1.0-add",
        "RFC 9110, 7.8: likewise with content",
        add(*H2C, LENGTH, version="HTTP/1.0"),
        ADDED_LAST,
    ),
)

EXPECT = "RFC 9110, 10.1.1: 100 or a final status, and the content is read"
CONTENT = (
    *each(
        "expect",
        EXPECT,
        ADDED,
        {
            "length": add(LENGTH, "Expect: 100-continue"),
            "chunks": add_chunks(IN_CHUNKS, "Expect: 100-continue"),
            "case": add(LENGTH, "Expect: 100-Continue"),
        },
    ),
    Case("expect-nothing", EXPECT, get("Expect: 100-continue"), SEEN),
    Case(
        "expect-refused",
        "RFC 9110, 10.1.1: after a final status the content may come all the same",
        add(f"Content-Length: {len(STOLEN)}", "Expect: 100-continue", body=STOLEN).replace(
            "/entries", "/none", 1
        ),
        right(404, then=Then.EITHER),
    ),
    Case(
        "expect-1.0",
        "RFC 9110, 15.2: no 1xx to HTTP/1.0",
        add(LENGTH, "Expect: 100-continue", version="HTTP/1.0"),
        ADDED_LAST,
    ),
    Case(
        "expect-unknown",
        "RFC 9110, 10.1.1: an unknown expectation may be 417",
        add(LENGTH, "Expect: tally"),
        right(201, 417, then=Then.EITHER),
    ),
    *each(
        "encoded",
        "RFC 9110, 8.4 and 15.5.16: a coding that is not accepted is 415",
        right(415, then=Then.EITHER),
        {
            "gzip": add("Content-Encoding: gzip", LENGTH),
            "unknown": add("Content-Encoding: tally", LENGTH),
            "chunks": add_chunks(IN_CHUNKS, "Content-Encoding: gzip"),
        },
    ),
    Case(
        "range",
        "RFC 9110, 14.2: Range with another method than GET must be ignored",
        add(LENGTH, "Range: bytes=0-1"),
        ADDED,
    ),
    Case(
        "range-invalid",
        "RFC 9110, 14.2: Range may be ignored",
        get("Range: bytes=x-y"),
        SEEN,
    ),
)

CASES: tuple[Case, ...] = (
    *REQUEST_LINE,
    *METHODS,
    *VERSIONS,
    *LINES,
    *FIELDS,
    *HOSTS,
    *LENGTHS,
    *CODINGS,
    *CHUNKS,
    *CONNECTION,
    *UPGRADES,
    *CONTENT,
)
