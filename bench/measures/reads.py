"""The display at a thousand entries and at many: it should not matter."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench.goals import Measure, at_least, at_most
from bench.rounds import Figures
from bench.testbed import PAGE, TOTAL, Testbed, flask_workers

FEW = 1000
SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
_PAIRS = 6

TOTAL_RATE = Measure(
    "reads/total-rate",
    "GET .../total at {many:,} entries against 1,000: throughput",
    must=at_least(0.75),
    aim=at_least(0.9),
)
TOTAL_P99 = Measure("reads/total-p99", "... 99th percentile", must=at_most(1.25), aim=at_most(1.1))
TOTAL_NAIVE = Measure(
    "reads/total-naive", "... at {many:,} against naive", must=at_least(5000), aim=at_least(15_000)
)
PAGE_RATE = Measure(
    "reads/page-rate",
    "display page at {many:,} entries against 1,000: throughput",
    must=at_least(0.75),
    aim=at_least(0.9),
)
PAGE_P99 = Measure("reads/page-p99", "... 99th percentile", must=at_most(1.25), aim=at_most(1.1))


def run(testbed: Testbed) -> None:
    """Total and page, few entries and many, and the naive total of many."""
    many = testbed.pace.many
    with ExitStack() as stack:
        use = stack.enter_context
        naive = use(testbed.flask("naive", testbed.filled_naive(many)))
        small = use(testbed.tally("display", testbed.filled(FEW)))
        large = use(testbed.tally("display", testbed.filled(many)))
        rounds = testbed.interleave(
            "reads",
            {
                "total, few": lambda: testbed.load("get", small.url + TOTAL),
                "total, many": lambda: testbed.load("get", large.url + TOTAL),
                "page, few": lambda: testbed.load("get", small.url + PAGE),
                "page, many": lambda: testbed.load("get", large.url + PAGE),
                # As many clients as workers: more would only wait, and go on being served after
                # the load has ended.
                "naive total, many": lambda: testbed.load_slow(
                    f"{naive.url}/total", flask_workers()
                ),
            },
            _PAIRS if many == SIZES[-1] else None,
        )
    add = testbed.findings.add
    add(TOTAL_RATE.about(many=many), rounds.ratio("total, many", "total, few"), rounds)
    add(TOTAL_P99, rounds.ratio("total, many", "total, few", "p99"), rounds)
    against_naive = TOTAL_NAIVE if many == SIZES[-1] else TOTAL_NAIVE.without_goals()
    add(against_naive.about(many=many), rounds.ratio("total, many", "naive total, many"), rounds)
    add(PAGE_RATE.about(many=many), rounds.ratio("page, many", "page, few"), rounds)
    add(PAGE_P99, rounds.ratio("page, many", "page, few", "p99"), rounds)


def run_sizes(testbed: Testbed) -> None:
    """One client's latency at each size of the table, for the picture of it."""
    with ExitStack() as stack:
        use = stack.enter_context
        candidates: dict[str, Callable[[], Figures]] = {}
        for size in SIZES:
            if size > testbed.pace.many:
                break
            display = use(testbed.tally("display", testbed.filled(size))).url
            naive = use(testbed.flask("naive", testbed.filled_naive(size))).url
            candidates |= {
                f"total, {size}": partial(testbed.load, "get", display + TOTAL, 1),
                f"page, {size}": partial(testbed.load, "get", display + PAGE, 1),
                f"naive total, {size}": partial(testbed.load_slow, f"{naive}/total", 1),
            }
        testbed.interleave("sizes", candidates, testbed.pace.heavy_rounds)
