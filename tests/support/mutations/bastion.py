"""What breaks the bastion."""

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "bastion",
    let_the_bastion_grow=lambda cloud: cloud.replace_bastion(
        lambda machine: machine.update(InstanceType="t4g.xlarge")
    ),
)

breaks(
    "bastion-ssh",
    open_ssh_to_a_large_network=lambda cloud: cloud.let_in(
        "bastion", {"CidrIp": "203.0.0.0/8"}, 22
    ),
)

breaks(
    "bastion-ssh",
    let_a_service_in=lambda cloud: cloud.let_in("bastion", {"GroupId": cloud.group("adder")}, 443),
)
breaks(
    "bastion-ssh",
    profile="small",
    let_a_service_log_in=lambda cloud: cloud.let_in(
        "bastion", {"GroupId": cloud.group("adder")}, 22
    ),
)

breaks(
    "bastion-key",
    start_the_bastion_without_a_key=lambda cloud: cloud.replace_bastion(
        lambda machine: machine.update(KeyName=None)
    ),
)


@breaks("bastion-user-data")
def put_a_password_into_the_bastions_user_data(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("\npackages:", "\n# PGPASSWORD=correcthorse\npackages:")


breaks(
    "bastion-locked",
    forward_agents=lambda cloud: cloud.start_the_bastion_with(
        "AllowAgentForwarding no", "AllowAgentForwarding yes"
    ),
    forward_sockets=lambda cloud: cloud.start_the_bastion_with(
        "AllowStreamLocalForwarding no", "AllowStreamLocalForwarding yes"
    ),
    ask_for_a_password_first=lambda cloud: cloud.start_the_bastion_with(
        "PasswordAuthentication no\n",
        "PasswordAuthentication yes\n      PasswordAuthentication no\n",
    ),
    leave_sshd_its_own_settings=lambda cloud: cloud.start_the_bastion_with(
        "sed -i '1i Include", "sed -i '$a Include"
    ),
)


@breaks("bastion-session-logs")
def record_no_sessions(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("ForceCommand", "# ForceCommand")


breaks(
    "bastion-session-logs",
    send_one_session_of_several=lambda cloud: cloud.start_the_bastion_with(
        '"publish_multi_logs": true', '"publish_multi_logs": false'
    ),
    leave_logins_in_the_journal=lambda cloud: cloud.start_the_bastion_with("  - rsyslog\n", ""),
)

breaks(
    "bastion-session-document",
    keep_no_session_of_session_manager=lambda cloud: cloud.change_session(
        cloudWatchLogGroupName=""
    ),
    keep_sessions_in_plain=lambda cloud: cloud.change_session(cloudWatchEncryptionEnabled=False),
    keep_sessions_only_once_they_end=lambda cloud: cloud.change_session(
        cloudWatchStreamingEnabled=False
    ),
    leave_idle_sessions_open=lambda cloud: cloud.change_session(idleSessionTimeout=""),
    lose_the_session_document=lambda cloud: cloud.ssm.delete_document(Name=f"{cloud.name}-session"),
)

breaks(
    "bastion-session-manager",
    close_session_manager=lambda cloud: cloud.iam.delete_role_policy(
        RoleName=f"{cloud.name}-bastion", PolicyName=f"{cloud.name}-bastion"
    ),
)

breaks("bastion-forwards", let_it_forward=lambda cloud: cloud.check_sources(False))
breaks(
    "bastion-forwards",
    profile="small",
    drop_what_it_forwards=lambda cloud: cloud.check_sources(True),
    forward_whatever_comes=lambda cloud: cloud.start_the_bastion_with(
        "policy drop;", "policy accept;"
    ),
    forward_to_any_port=lambda cloud: cloud.start_the_bastion_with(
        "tcp dport 443 accept", "accept"
    ),
    forward_from_the_whole_network=lambda cloud: cloud.start_the_bastion_with(
        "10.60.10.0/24", "10.60.0.0/16"
    ),
    forward_before_there_are_rules=lambda cloud: cloud.start_the_bastion_with(
        "ExecStart=/usr/sbin/nft", "ExecStartPost=/usr/sbin/nft"
    ),
    forward_until_the_next_start=lambda cloud: cloud.start_the_bastion_with("WantedBy=", "# By "),
)
