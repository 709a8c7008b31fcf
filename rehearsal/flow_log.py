"""What was dropped, as AWS's flow log of the network tells it: records, gzipped, in its bucket.

Formats: VPC's user guide, "Flow log records" and "Flow log files".
"""

import gzip
import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from rehearsal.found import NUMBERS, PROTOCOLS, Found
from rehearsal.nflog import Drop
from rehearsal.outcome import Flow
from tally.aws.inventory import REGION

# AWS's default, in its own order (version 2).
DEFAULT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport}"
    " ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)


@dataclass(frozen=True)
class Delivered:
    """A file in the bucket."""

    bucket: str
    key: str


def deliver(found: Found, drops: Iterable[Drop]) -> Delivered | None:
    """Write what was refused where the flow log says, if it logs that; give the file's name."""
    log = found.flow_log
    if log["TrafficType"] == "ACCEPT":
        return None
    fields = re.findall(r"\$\{([a-z-]+)\}", log.get("LogFormat") or DEFAULT)
    interval = log.get("MaxAggregationInterval", 600)
    now = int(time.time())
    end = now - now % interval + interval
    counts: dict[tuple[str, Drop], int] = {}
    cards = {it.address: it.interface for it in found.interfaces}
    for drop in drops:
        card = cards.get(drop.source if drop.refused_by.endswith("OUT") else drop.target)
        # What had no way was not refused, and no interface of the network saw what came to none.
        if card and drop.refused_by != "ROUTE":
            counts[card, drop] = counts.get((card, drop), 0) + 1
    lines = [" ".join(fields)]
    for (card, drop), packets in counts.items():
        values = {
            "version": 2,
            "account-id": found.aws.id,
            "interface-id": card,
            "srcaddr": drop.source,
            "dstaddr": drop.target,
            "srcport": drop.source_port,
            "dstport": drop.port,
            "protocol": NUMBERS[drop.protocol],
            "packets": packets,
            "bytes": packets * drop.length,
            "start": end - interval,
            "end": end,
            "action": "REJECT",
            "log-status": "OK",
        }
        lines.append(" ".join(str(values.get(it, "-")) for it in fields))
    return _put(found, "\n".join([*lines, ""]), datetime.fromtimestamp(now, UTC))


def _put(found: Found, text: str, at: datetime) -> Delivered:
    log, account = found.flow_log, found.aws.id
    bucket, _, folder = log["LogDestination"].partition(":::")[2].partition("/")
    unique = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = f"{account}_vpcflowlogs_{REGION}_{log['FlowLogId']}_{at:%Y%m%dT%H%MZ}_{unique}.log.gz"
    path = [folder, "AWSLogs", account, "vpcflowlogs", REGION, f"{at:%Y/%m/%d}", name]
    key = "/".join(filter(None, path))
    body = gzip.compress(text.encode())
    found.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return Delivered(bucket, key)


def read(found: Found, delivered: Delivered | None) -> dict[Flow, str]:
    """What a file says: the interface that refused each flow."""
    if delivered is None:
        return {}
    answer = found.aws.client("s3").get_object(Bucket=delivered.bucket, Key=delivered.key)
    head, *lines = gzip.decompress(answer["Body"].read()).decode().splitlines()
    refused = {}
    for line in lines:
        it = dict(zip(head.split(), line.split(), strict=True))
        if it["action"] == "REJECT":
            ends = it["srcaddr"], int(it["srcport"]), it["dstaddr"], int(it["dstport"])
            refused[PROTOCOLS[it["protocol"]], *ends] = it["interface-id"]
    return refused
