"""The text of the two systemd units that run the service. Nothing here reads or writes a disk.

Written for systemd 237, which Ubuntu 18.04 (JetPack 4) has; systemd.exec(5) and systemd.service(5) of that version.
"""

from typing import NamedTuple, Optional, Sequence

from edge.contract.errors import UsageError

NAME = "edgewise.service"
RECOVER = "edgewise-recover.service"
USER = "edgewise"
BOARD = "/run/edgewise/board"  # the board's folder as the service sees it
PACKAGES = "/run/edgewise/local"  # and its owner's own Python packages


class Place(NamedTuple):
    """What the units are made for."""

    root: str  # the board's folder, absolute
    owner: str  # the user who flashes, teaches and rolls back
    group: str  # the owner's, which the service shares to keep what is learnt
    python: str  # that ran the golden vectors
    packages: Optional[str]  # the owner's ~/.local, if Python packages are there


_RECOVER = """\
# Made by `edgewise service`.
[Unit]
Description=edgewise: puts right what a power cut left of a flash

[Service]
Type=oneshot
User={owner}
Environment={python}
ExecStart={launcher} status
"""

_SERVICE = """\
# Made by `edgewise service`. See docs/board.md, "Service".
[Unit]
Description=edgewise: names what the camera sees
Wants={recover}
After={recover} nvargus-daemon.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
Environment={python}
{packages}Environment=HOME=/var/cache/edgewise
ExecStart={board}/edgewise serve {words}
Restart=always
RestartSec=2
# The first load of a model takes a Nano tens of seconds
TimeoutStartSec=600
WatchdogSec=60
TimeoutStopSec=10

# Its own user. The owner's group lets both write what is learnt; no file of the release can be written
User={user}
Group={group}
SupplementaryGroups=video
UMask=0007
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
RuntimeDirectory=edgewise
CacheDirectory=edgewise
BindReadOnlyPaths={root}:{board}
BindPaths={personal}:{board}/personal
# No PrivateTmp and no PrivateDevices: Jetson's cameras are reached by a socket in /tmp, its GPU by devices
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native

MemoryMax=60%
TasksMax=256
LimitNOFILE=4096
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""


def recover_unit(place: Place) -> str:
    """Before each start, as the owner: the service itself may not change the board's folder. Raises UsageError."""
    return _RECOVER.format(
        owner=place.owner,
        python=_word("EDGEWISE_PYTHON=" + place.python),
        launcher=_word(place.root + "/edgewise"),
    )


def service_unit(place: Place, source: str, page: Sequence[str] = ()) -> str:
    """The service that classifies `source`; page: what `serve` is told of a page.

    Raises UsageError for a text that a unit cannot hold.
    """
    packages = ""
    if place.packages:
        packages = "BindReadOnlyPaths={}\nEnvironment=PYTHONUSERBASE={}\n".format(
            _path(place.packages) + ":" + PACKAGES, PACKAGES
        )
    return _SERVICE.format(
        recover=RECOVER,
        python=_word("EDGEWISE_PYTHON=" + place.python),
        packages=packages,
        board=BOARD,
        words=" ".join(_argument(word) for word in (source, *page)),
        user=USER,
        group=place.group,
        root=_path(place.root),
        personal=_path(place.root + "/personal"),
    )


def _word(text: str) -> str:
    """An assignment or a command's path: quoted, and without systemd's specifiers."""
    _refuse(text, set("\n\r\0"))
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%"))


def _argument(text: str) -> str:
    """A word after a command's path, in which systemd would put variables, too."""
    return _word(text).replace("$", "$$")


def _path(text: str) -> str:
    """A path of a bind, where a colon parts two of them."""
    _refuse(text, set('\n\r\0: \t"\\'))
    return text.replace("%", "%%")


def _refuse(text: str, forbidden: set) -> None:
    odd = sorted(forbidden & set(text))
    if odd:
        raise UsageError(
            "{!a} holds {!a}".format(text, odd[0]), "a name that a systemd unit can hold", "choose another"
        )
