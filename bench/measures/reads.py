"""The display at a thousand entries and at many: it should not matter."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench.goals import Measure, at_least, at_most
from bench.rounds import Figures
from bench.runner import PAGE, TOTAL, Runner, flask_workers

FEW = 1000
SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
_PAIRS = 6
# No page of it is kept.
RANGE = f"{PAGE}?from=2000-01-01T00:00:00Z"

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
RANGE_P50 = Measure(
    "reads/range",
    "display page of a range of one's own, read anew, at {many:,} entries: median of one client",
    "ms",
)
PAGE_P99 = Measure("reads/page-p99", "... 99th percentile", must=at_most(1.25), aim=at_most(1.1))
PAGE_COST = Measure(
    "reads/page-cost", "... processor time of the display", "us", must=at_most(80), aim=at_most(40)
)


def run(runner: Runner) -> None:
    """Total and page, few entries and many, and the naive total of many."""
    many = runner.pace.many
    with ExitStack() as stack:
        use = stack.enter_context
        naive = use(runner.flask("naive", runner.filled_naive(many)))
        small = use(runner.tally("display", runner.filled(FEW)))
        large = use(runner.tally("display", runner.filled(many)))
        rounds = runner.interleave(
            "reads",
            {
                "total, few": lambda: runner.load("get", small.url + TOTAL),
                "total, many": lambda: runner.load("get", large.url + TOTAL),
                "page, few": lambda: runner.load("get", small.url + PAGE),
                "page, many": lambda: runner.load(
                    "get", large.url + PAGE, families={"display": large.pid}
                ),
                "range, many": lambda: runner.load("get", large.url + RANGE, 1),
                # As many clients as workers: more would only wait, and go on being served after
                # the load has ended.
                "naive total, many": lambda: runner.load_slow(
                    f"{naive.url}/total", flask_workers()
                ),
            },
            _PAIRS if many == SIZES[-1] else None,
        )
    add = runner.findings.add
    add(TOTAL_RATE.about(many=many), rounds.ratio("total, many", "total, few"), rounds)
    add(TOTAL_P99, rounds.ratio("total, many", "total, few", "p99"), rounds)
    against_naive = TOTAL_NAIVE if many == SIZES[-1] else TOTAL_NAIVE.without_goals()
    add(against_naive.about(many=many), rounds.ratio("total, many", "naive total, many"), rounds)
    add(PAGE_RATE.about(many=many), rounds.ratio("page, many", "page, few"), rounds)
    add(RANGE_P50.about(many=many), rounds.spread("range, many", "p50"), rounds)
    add(PAGE_P99, rounds.ratio("page, many", "page, few", "p99"), rounds)
    add(PAGE_COST, rounds.cost("page, many", "display"), rounds)


def run_sizes(runner: Runner) -> None:
    """One client's latency at each size of the table, for the picture of it."""
    with ExitStack() as stack:
        use = stack.enter_context
        candidates: dict[str, Callable[[], Figures]] = {}
        for size in SIZES:
            if size > runner.pace.many:
                break
            display = use(runner.tally("display", runner.filled(size))).url
            naive = use(runner.flask("naive", runner.filled_naive(size))).url
            candidates |= {
                f"total, {size}": partial(runner.load, "get", display + TOTAL, 1),
                f"page, {size}": partial(runner.load, "get", display + PAGE, 1),
                f"range, {size}": partial(runner.load, "get", display + RANGE, 1),
                f"naive total, {size}": partial(runner.load_slow, f"{naive}/total", 1),
            }
        runner.interleave("sizes", candidates, runner.pace.heavy_rounds)
