"""Installs and removes the systemd service on this board: the one thing here that needs root."""

import grp
import os
import pwd
import subprocess
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, NamedTuple, Optional, Sequence

from edge.board import Board
from edge.camera import set_camera
from edge.contract.errors import BoardError
from edge.contract.files import write_whole
from edge.unit import NAME, RECOVER, USER, Place, recover_unit, service_unit
from edge.web.password import PASSWORD, SECRETS, known_password

UNITS = "/etc/systemd/system"
_BOOTED = "/run/systemd/system"  # sd_booted(3)
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_HOMES = ("/home/", "/root/")  # what ProtectHome hides


class ServiceReport(NamedTuple):
    unit: str
    installed: bool
    status: str  # what it says of itself


def install_service(
    board: Board,
    source: str,
    python: str,
    page: Sequence[str] = (),
    ask_password: Optional[Callable[[str], Optional[str]]] = None,
) -> ServiceReport:
    """Makes `source` be classified from now on and from each start of the board; replaces the service that was there.

    python: the interpreter, absolute; page: what `serve` is told of a page; ask_password: as for known_password(), for
    a page that needs one. Returns when the service has had its first frame, or waits for its camera.
    Raises BoardError without systemd or root, for a Python in a home, and for a service that does not start, which is
    then not there; UsageError for a source that a unit cannot hold.
    """
    _check_may(board, "service " + source)
    if os.path.realpath(python).startswith(_HOMES):
        raise BoardError(
            "the board's Python is {}, in a home".format(python),
            "one that the service's own user may run",
            "use the system's python3, or run `edgewise supervise` as {}".format(_owner(board).pw_name),
        )
    place = _place(board, python)
    texts = {RECOVER: recover_unit(place), NAME: service_unit(place, source, page)}
    if not _has_user():
        _must(["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
               "--user-group", USER])  # fmt: skip
    _share_what_is_learnt(board)
    with _as_owner(board):
        if ask_password is not None:
            known_password(board.path("personal", PASSWORD), ask_password)
        set_camera(board, source)
    for name, text in texts.items():
        write_whole(os.path.join(UNITS, name), text.encode("utf-8"))
    _must(["systemctl", "daemon-reload"])
    _must(["systemctl", "enable", "--quiet", NAME])
    if _run(["systemctl", "restart", NAME]).returncode != 0:
        why = _last_words()
        remove_service(board)
        raise BoardError("the service does not start: {}".format(why), "one that does", "nothing was installed")
    return ServiceReport(NAME, True, _property("StatusText"))


def remove_service(board: Board) -> ServiceReport:
    """Stops the service and takes its units away, if they are there; its user stays. Raises BoardError."""
    _check_may(board, "service --remove")
    if os.path.exists(os.path.join(UNITS, NAME)):
        _must(["systemctl", "disable", "--quiet", "--now", NAME])
    for name in (NAME, RECOVER):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(UNITS, name))
    with _as_owner(board):
        set_camera(board, None)
    _must(["systemctl", "daemon-reload"])
    return ServiceReport(NAME, False, "")


def _check_may(board: Board, verb: str) -> None:
    if not os.path.isdir(_BOOTED):
        raise BoardError(
            "systemd does not run this board",
            "systemd",
            "let what starts this board start `{} supervise SOURCE`; see docs/board.md".format(board.path("edgewise")),
        )
    if os.geteuid() != 0:
        raise BoardError("a system service needs root", "root", "run `sudo {} {}`".format(board.path("edgewise"), verb))


def _owner(board: Board) -> pwd.struct_passwd:
    found = os.stat(board.root).st_uid
    try:
        return pwd.getpwuid(found)
    except KeyError:
        raise BoardError(
            "{} belongs to the user {}, who has no name".format(board.root, found), "a user of this board", "chown it"
        ) from None


def _place(board: Board, python: str) -> Place:
    owner = _owner(board)
    packages = os.path.join(owner.pw_dir, ".local")
    has_packages = os.path.isdir(os.path.join(packages, "lib"))
    group = grp.getgrgid(owner.pw_gid).gr_name
    return Place(board.root, owner.pw_name, group, python, packages if has_packages else None)


def _share_what_is_learnt(board: Board) -> None:
    """The owner and the service, who have the owner's group in common, may both write personal/; nobody else reads it.

    SQLite gives its log the database's own mode, so the file is made here, empty, if nothing was learnt yet.
    """
    folder = board.path("personal")
    with _as_owner(board):  # so that no link in the folder makes root change a file that is not the owner's
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "learned.sqlite"), "ab"):
            pass
        os.chmod(folder, 0o770)  # noqa: S103  the group is the owner's own
        for name in set(os.listdir(folder)).difference(SECRETS):  # which only the owner changes
            with suppress(PermissionError):  # made by the service: it is shared already
                os.chmod(os.path.join(folder, name), 0o660)


@contextmanager
def _as_owner(board: Board) -> Iterator[None]:
    owner = _owner(board)
    os.setegid(owner.pw_gid)
    os.seteuid(owner.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _has_user() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _last_words() -> str:
    """What the service said last, as it is in the journal."""
    said = _run(["journalctl", "--unit", NAME, "--lines", "30", "--output", "cat", "--no-pager"]).stdout
    lines = [line.strip() for line in said.split("\n") if line.strip()]
    ours = [line[len("edgewise: ") :] for line in lines if line.startswith("edgewise: ")]
    return (ours or lines or ["its journal is empty"])[-1][:300]


def _property(name: str) -> str:
    return _run(["systemctl", "show", "--property", name, NAME]).stdout.strip().partition("=")[2]


def _must(command: list) -> None:
    done = _run(command)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:300]
        raise BoardError("`{}` failed: {}".format(" ".join(command), said), "success", "try it by hand")


def _run(command: list) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True,
    )  # fmt: skip
