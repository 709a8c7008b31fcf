"""The documents of the deployment, held to the files and followed to the letter."""

import re
import subprocess
import tomllib

from tests.support.deployment import ACCOUNT, Deployment, planned
from tests.support.guide_runner import DEPLOY, LOOKED_AT, NOT_RUN, looks, sections
from tests.support.inventory import everything
from tests.support.paths import INFRA, ROOT

# What Terraform changes in a database that it takes over, with the reason.
CHANGED_AFTER_RESTORE = {
    "apply_immediately": "of Terraform's own: how it makes changes",
    "delete_automated_backups": "of Terraform's own: what it does when it destroys",
    "final_snapshot_identifier": "the same",
    "skip_final_snapshot": "the same",
    "manage_master_user_password": "so already, which an import does not see",
    "master_user_secret_kms_key_id": "the same",
    "performance_insights_enabled": "no option of a restore; changed at once",
}

# Whose addresses a list of AWS's own holds, in the diagram.
AWS_ADDRESSES = {
    "com.amazonaws.global.cloudfront.origin-facing": "cloudfront",
    "com.amazonaws.us-east-1.s3": "s3",
}

# Where operations.md writes `tally` and means no name in AWS.
OTHER_NAMES = {
    "tally": "the deployment, or the command",
    "tally-": "what alarms' names begin with",
    "dist/tally.pex": "a file",
    "example/tally": "the repository on GitHub",
    "/opt/tally/bin/tally-release": "a program on the adder's machines",
    "tally-release": "the same",
    "tally-psql": "a program on the bastion",
}


def test_every_block_that_is_not_run_has_its_reason() -> None:
    assert {mark for blocks in sections().values() for mark, _ in blocks if mark} == set(NOT_RUN)


def test_a_reader_can_follow_it_from_first_to_last(
    followed: "subprocess.CompletedProcess[str]",
) -> None:
    assert followed.returncode == 0, followed.stdout[-4000:] + followed.stderr[-4000:]
    said = followed.stdout
    assert re.search(r"^https://\w+\.cloudfront\.net", said, re.MULTILINE)
    # Who was refused: the address that knocked twice comes first.
    assert re.search(r"^ +2 192\.0\.2\.9 22\n +1 192\.0\.2\.8 5432$", said, re.MULTILINE)
    assert said.count("Destroy complete!") == 2


def test_what_runs_is_the_newer_release_then_the_older_one_with_newer_and_newer_passwords(
    followed: "subprocess.CompletedProcess[str]",
) -> None:
    assert [len(sections()[section]) for section in LOOKED_AT] == [2, 1]
    seen = looks(followed.stdout)
    assert {len(set(look["releases"].values())) for look in seen} == {1}
    newest = seen[0]["head"]
    assert [look["head"] for look in seen] == [newest] * 4
    upgraded, back, rotated, rotated_again = seen
    assert upgraded["releases"] == dict.fromkeys(("adder", "display", "reset"), newest)
    assert newest not in back["releases"].values()
    assert rotated["releases"] == rotated_again["releases"] == back["releases"]
    assert [look["passwords"] for look in seen] == [[1], [1], [2], [3]]


def test_a_restored_database_is_nearly_as_declared(
    followed: "subprocess.CompletedProcess[str]",
) -> None:
    """What the restoring command can say, it says: some changes would wait for days."""
    apply = followed.stdout.partition("Import successful!")[2].partition("Apply complete!")[0]
    [database] = re.findall(
        r"# aws_db_instance\.main will be updated in-place\n(.*?)^    }$",
        apply,
        re.MULTILINE | re.DOTALL,
    )
    changed = re.findall(r"^ {6}[~+-] (\w+) ", database, re.MULTILINE)
    assert set(changed) == set(CHANGED_AFTER_RESTORE)


def test_every_name_for_operators_is_that_of_something_that_stands(production: Deployment) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    # Of an address in S3 the bucket alone is a name.
    text = re.sub(r"s3://([\w$-]+)[\w$/-]*", r"\1", text)
    named = set(re.findall(r"[\w$./<>-]*\btally\b[\w$/<>-]*(?:\.pex)?", text))
    assert set(OTHER_NAMES) - named == set()
    standing = {name for _, name in everything(production.client)}
    for name in named - set(OTHER_NAMES):
        # A row of the table is about an alarm of some services, if not of all.
        services = ["adder", "display", "reset"] if "<service>" in name else [""]
        possible = {
            name.replace("<service>", service).replace("$account", ACCOUNT) for service in services
        }
        assert possible & standing, name


def edges() -> set[tuple[str, str, int]]:
    """The diagram's arrows: from, to, port."""
    [diagram] = re.findall(r"```mermaid\n(.*?)```", DEPLOY, re.DOTALL)
    return {
        (source, target, int(port))
        for source, port, target in re.findall(
            r'^ +([\w-]+)\S*(?:[^-\n]*\S)? -- "(\d+)" --> ([\w-]+)', diagram, re.MULTILINE
        )
    }


def rules(deployment: Deployment) -> dict[str, set[tuple[str, str, int]]]:
    """The security groups' rules in and out, as the diagram's arrows."""
    resources = planned(deployment)
    # Who is on the other side of a rule: a group, or a list of AWS's own addresses. The load
    # balancer has two groups, one for each way in which CloudFront may speak to it.
    names = {
        it["values"]["id"]: it["index"].removesuffix("-https")
        for it in resources
        if it["type"] == "aws_security_group"
    }
    for its in deployment.client("ec2").describe_managed_prefix_lists()["PrefixLists"]:
        names[its["PrefixListId"]] = AWS_ADDRESSES.get(its["PrefixListName"], "")
    found: dict[str, set[tuple[str, str, int]]] = {"ingress": set(), "egress": set()}
    for it in resources:
        if not (of := re.fullmatch(r"aws_vpc_security_group_(\w+)_rule", it["type"])):
            continue
        rule = it["values"]
        assert (rule["ip_protocol"], rule["from_port"]) == ("tcp", rule["to_port"])
        own = names[rule["security_group_id"]]
        if rule["cidr_ipv4"]:
            other = "internet" if rule["cidr_ipv4"] == "0.0.0.0/0" else "operator"
        else:
            other = names[rule["referenced_security_group_id"] or rule["prefix_list_id"]]
        source, target = (other, own) if of[1] == "ingress" else (own, other)
        found[of[1]].add((source, target, rule["to_port"]))
    return found


def test_the_diagram_shows_the_security_groups_rules(deployments: dict[str, Deployment]) -> None:
    roles = {
        it["index"]
        for it in planned(deployments["production"])
        if it["type"] == "aws_security_group"
    }
    # CloudFront has no group.
    without_domain = edges() - {("internet", "cloudfront", 443)}
    of_the_domain = without_domain - {("cloudfront", "load-balancer", 80)} | {
        ("cloudfront", "load-balancer", 443)
    }
    # The bastion in place of the endpoints. What is let in there is let out to the internet.
    by_the_bastion = {edge for edge in of_the_domain if edge[1] != "endpoints"}
    services = ("adder", "display", "reset")
    by_the_bastion |= {(service, "internet", 443) for service in services}
    forwarded = {(service, "bastion", 443) for service in services}
    for profile, drawn, let_in in (
        ("production", without_domain, set()),
        ("small", by_the_bastion, forwarded),
    ):
        of = rules(deployments[profile])
        assert let_in <= of["ingress"]
        of["ingress"] -= let_in
        assert of["ingress"] | of["egress"] == drawn
        # What goes from one group to another is let out and let in.
        inside = {edge for edge in drawn if {edge[0], edge[1]} <= roles}
        assert of["ingress"] & of["egress"] == inside


def test_every_file_of_the_requirements_exists() -> None:
    table = (ROOT / "docs/requirements.md").read_text()
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    for row in rows:
        for file in re.findall(r"`([^`]+)`", row[3]):
            assert (INFRA / file).exists(), file


def test_the_costs_add_up() -> None:
    text = (ROOT / "docs/costs.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    amounts = [
        (float(row[2]), float(row[3]))
        for row in rows
        if len(row) == 4 and re.fullmatch(r"\d+\.\d\d", row[2])
    ]
    assert len(amounts) > 10
    together = re.search(r"\*\*together\*\* \| \| \*\*([\d.]+)\*\* \| \*\*([\d.]+)\*\*", text)
    assert together is not None
    small, production = (round(sum(column), 2) for column in zip(*amounts, strict=True))
    assert (small, production) == (float(together[1]), float(together[2]))


def test_the_costs_are_those_of_the_profiles(deployments: dict[str, Deployment]) -> None:
    """The counts in the table are counted in the plans."""
    text = (ROOT / "docs/costs.md").read_text()
    for deployment, endpoints, zones, alarms in (
        (deployments["small"], 0, set(), 16),
        (deployments["production"], 6, {2}, 15),
    ):
        resources = planned(deployment)
        interfaces = [
            it
            for it in resources
            if it["type"] == "aws_vpc_endpoint" and it["values"]["vpc_endpoint_type"] == "Interface"
        ]
        assert len(interfaces) == endpoints
        assert {len(it["values"]["subnet_ids"]) for it in interfaces} == zones
        # Metrics that cost something.
        detailed = deployment.profile == "production"
        [cluster] = [it["values"] for it in resources if it["type"] == "aws_ecs_cluster"]
        insights = {"name": "containerInsights", "value": "enabled" if detailed else "disabled"}
        assert cluster["setting"] == [insights]
        [template] = [it["values"] for it in resources if it["type"] == "aws_launch_template"]
        assert template["monitoring"] == [{"enabled": detailed}]
        watched = [it for it in resources if it["type"] == "aws_cloudwatch_metric_alarm"]
        assert len(watched) == alarms
        # AWS makes two alarms of each, one a way.
        scaled = [it for it in resources if it["type"] == "aws_appautoscaling_policy"]
        assert len(scaled) == 2
        aliases = deployment.client("kms").list_aliases()["Aliases"]
        keys = [it for it in aliases if it["AliasName"].startswith(f"alias/{deployment.name}-")]
        assert len(keys) == 2
    assert "alarms (16; 15)" in text
    assert "(4: two for each of two services)" in text
    assert "| keys (2: " in text
    assert "(none; 6 in two zones)" in text


def test_waivers_are_readable() -> None:
    assert tomllib.loads((INFRA / "waivers.toml").read_text())
