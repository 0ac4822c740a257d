"""The units hold only what systemd 237 knows, which Ubuntu 18.04 (JetPack 4) has."""

import re

import pytest

from edge.unit import Place, recover_unit, service_unit

OLDEST = 237
# The version that brought a directive, or the value that is used here, by systemd's NEWS. 0: before 200
SINCE = {
    "After": 0, "CapabilityBoundingSet": 0, "Description": 0, "Environment": 0, "ExecStart": 0, "Group": 0,
    "LimitCORE": 0, "LimitNOFILE": 0, "NoNewPrivileges": 0, "NotifyAccess": 0, "Restart": 0, "RestartSec": 0,
    "SupplementaryGroups": 0, "TimeoutStartSec": 0, "TimeoutStopSec": 0, "Type": 0, "UMask": 0, "User": 0,
    "WantedBy": 0, "Wants": 0, "WatchdogSec": 0,
    "SystemCallArchitectures": 209, "RestrictAddressFamilies": 211, "RuntimeDirectory": 211, "ProtectHome": 214,
    "TasksMax": 227, "StartLimitIntervalSec": 230,
    "MemoryMax": 231,  # in percent, too
    "RestrictRealtime": 231, "ProtectControlGroups": 232, "ProtectKernelModules": 232, "ProtectKernelTunables": 232,
    "ProtectSystem": 232,  # strict
    "BindPaths": 233, "BindReadOnlyPaths": 233, "RestrictNamespaces": 233, "CacheDirectory": 235,
    "LockPersonality": 235,
}  # fmt: skip
PLACE = Place("/home/nano/edgewise-board", "nano", "nano", "/usr/bin/python3", "/home/nano/.local")


@pytest.mark.parametrize("text", [service_unit(PLACE, "0"), recover_unit(PLACE)])
def test_no_directive_is_younger_than_systemd_237(text):
    found = set(re.findall(r"^(\w+)=", text, re.M))
    assert {name for name in found if SINCE.get(name, OLDEST + 1) > OLDEST} == set()


def test_what_serve_is_told_of_a_page_is_in_the_unit_word_by_word():
    text = service_unit(PLACE, "0", ["--web", "0.0.0.0:8080", "--tls", "/etc/a b.pem"])
    assert 'ExecStart=/run/edgewise/board/edgewise serve "0" "--web" "0.0.0.0:8080" "--tls" "/etc/a b.pem"\n' in text
