"""The load balancer: an HAProxy in each of its interfaces, told what AWS tells of the real one.

Each of AWS's nodes sends to the targets of all zones, checks them itself, and sends to all of a
group when it finds none of them healthy (user guide for Application Load Balancers, "Health checks
for your target groups"). How conditions are read: "Condition types for listener rules" there.
"""

import re
import socket
from collections.abc import Iterator

from rehearsal.found import Found, Host
from rehearsal.haproxy import HAProxy
from rehearsal.network import Network
from tally.aws.inventory.resources import Resource
from tally.aws.load_balancer import target_groups, values

# "HTTP 504: Gateway timeout" in the user guide's "Troubleshoot your load balancers".
_SECONDS_TO_CONNECT = 10
_DEFAULT = "default"


class LoadBalancer:
    """Runs until it is closed, or this process ends."""

    def __init__(self, found: Found, network: Network) -> None:
        text = settings(found)
        ports = [int(it["Port"]) for it in found.aws.elbv2.listeners]
        self.nodes: dict[Host, HAProxy] = {}
        try:
            for host in found.balancers:
                inside = network.hosts[host]
                with inside.entered():
                    address = host.address
                    listeners = {f"PORT_{it}": socket.create_server((address, it)) for it in ports}
                self.nodes[host] = HAProxy(text, listeners, inside)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for it in self.nodes.values():
            it.close()

    def healthy(self, node: Host) -> dict[str, set[str]]:
        """The targets that a node finds healthy, as address and port, by group."""
        found: dict[str, set[str]] = {}
        for (group, target), good in self.nodes[node].servers().items():
            if not group.endswith(_OPEN):
                found.setdefault(group, set()).update({target} if good else ())
        return found


def settings(found: Found) -> str:
    """HAProxy's configuration; it is given its sockets by environment variables."""
    elbv2 = found.aws.elbv2
    idle = elbv2.load_balancer_attributes["idle_timeout.timeout_seconds"]
    lines = [
        *("defaults", "mode http", f"timeout connect {_SECONDS_TO_CONNECT}s"),
        *(f"timeout client {idle}s", f"timeout server {idle}s", "retries 0"),
        "option forwardfor",
    ]
    for listener in elbv2.listeners:
        lines += _frontend(found, listener)
    for group in elbv2.target_groups.values():
        lines += _backends(found, group)
    return "\n".join([*lines, ""])


def _frontend(found: Found, listener: Resource) -> Iterator[str]:
    """A listener: the first rule that fits decides, whatever it then does."""
    if listener["Protocol"] != "HTTP":
        raise NotImplementedError(f"a listener that is not rehearsed yet: {listener}")
    port = listener["Port"]
    yield f"frontend listener-{port}"
    yield f"bind fd@${{PORT_{port}}}"
    yield "http-request set-header X-Forwarded-Proto http"
    yield f"http-request set-header X-Forwarded-Port {port}"
    rules = {it["Priority"]: it for it in found.aws.elbv2.rules(listener["ListenerArn"])}
    none_yet = "!{ var(txn.rule) -m found }"
    for priority, rule in rules.items():
        fits = " ".join(map(_condition, rule["Conditions"]))
        yield f"http-request set-var(txn.rule) str({priority}) if {none_yet} {fits}"
    yield f"http-request set-var(txn.rule) str({_DEFAULT}) if {none_yet}"
    actions = {it: rule["Actions"] for it, rule in rules.items()}
    lines = [
        line
        for priority, done in {**actions, _DEFAULT: listener["DefaultActions"]}.items()
        for line in _action(found, done, f"{{ var(txn.rule) -m str {priority} }}")
    ]
    # In the order in which HAProxy looks at them anyway.
    yield from sorted(lines, key=lambda it: it.startswith("use_backend"))


def _condition(condition: Resource) -> str:
    """What is matched, in HAProxy's words: paths as they are written, the others in any case."""
    match condition:
        case {"Field": "path-pattern"}:
            what = "path -m reg"
        case {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name}}:
            what = f"req.fhdr({name}) -m reg -i"
        case {"Field": "host-header"}:
            what = "req.hdr(host),field(1,:) -m reg -i"
        case _:
            raise NotImplementedError(f"a condition that is not rehearsed yet: {condition}")
    return f"{{ {what} {' '.join(_quoted(_pattern(it)) for it in values(condition))} }}"


def _pattern(value: str) -> str:
    """A regular expression of a value in which * is any characters, and ? is one."""
    parts = {"*": ".*", "?": "."}
    return f"^{''.join(parts.get(it, re.escape(it)) for it in value)}$"


def _action(found: Found, actions: list[Resource], chosen: str) -> Iterator[str]:
    match actions:
        case [{"Type": "fixed-response", "FixedResponseConfig": answer}]:
            kind = answer.get("ContentType", "text/plain")
            text = _quoted(answer.get("MessageBody", ""))
            yield (
                f"http-request return status {answer['StatusCode']} content-type {kind}"
                f" string {text} if {chosen}"
            )
        case [{"Type": "forward"} as forward]:
            [arn] = target_groups(forward)
            name = found.aws.elbv2.target_groups[arn]["TargetGroupName"]
            yield f"use_backend {name}{_OPEN} if {chosen} {{ nbsrv({name}) eq 0 }}"
            yield f"use_backend {name} if {chosen}"
        case _:
            raise NotImplementedError(f"an action that is not rehearsed yet: {actions}")


# The end of the name of what sends to every target of a group, when none is healthy.
_OPEN = "-open"
_ALGORITHMS = {"round_robin": "roundrobin", "least_outstanding_requests": "leastconn"}


def _backends(found: Found, group: Resource) -> Iterator[str]:
    """A target group, checked, and the same for when nothing of it is healthy."""
    attributes = found.aws.elbv2.target_group_attributes(group["TargetGroupArn"])
    if attributes.get("stickiness.enabled") == "true":
        raise NotImplementedError(f"a target group that is not rehearsed yet: {attributes}")
    algorithm = attributes.get("load_balancing.algorithm.type", "round_robin")
    targets = list(_targets(found, group))
    yield f"backend {group['TargetGroupName']}{_OPEN}"
    yield f"balance {_ALGORITHMS[algorithm]}"
    yield from (f"server {it} {it}" for it in targets)
    path = group["HealthCheckPath"]
    timeout, interval = group["HealthCheckTimeoutSeconds"], group["HealthCheckIntervalSeconds"]
    port = group["HealthCheckPort"]
    yield f"backend {group['TargetGroupName']}"
    yield f"balance {_ALGORITHMS[algorithm]}"
    yield "option httpchk"
    yield (
        f"http-check send meth GET uri {path} ver HTTP/1.1"
        " hdr Host %[srv_name] hdr User-Agent ELB-HealthChecker/2.0"
    )
    yield f"http-check expect status {group['Matcher']['HttpCode']}"
    yield f"timeout check {timeout}s"
    yield (
        f"default-server check inter {interval}s rise {group['HealthyThresholdCount']}"
        f" fall {group['UnhealthyThresholdCount']}"
        f"{'' if port == 'traffic-port' else f' port {port}'}"
    )
    yield from (f"server {it} {it}" for it in targets)


def _targets(found: Found, group: Resource) -> Iterator[str]:
    """Who is registered, as address and port."""
    machines = {it["InstanceId"]: it["PrivateIpAddress"] for it in found.aws.ec2.instances}
    for it in found.aws.elbv2.targets(group["TargetGroupArn"]):
        target = it["Target"]
        of_machine = group["TargetType"] == "instance"
        address = machines[target["Id"]] if of_machine else target["Id"]
        yield f"{address}:{target['Port']}"


def _quoted(text: str) -> str:
    """One word in HAProxy's configuration, taken as it is."""
    return "'" + text.replace("'", "'\\''") + "'"
