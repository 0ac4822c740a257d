"""Flashing over a real OpenSSH connection on loopback: what must hold, and what is said when something does not."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest
from run_maker import changed, content_of, make_run

from bench.ssh_board import SSHD, SshBoard, ssh_keygen
from deploy.board import Board, LinkLost, Wire
from deploy.flash import FirstContact, FlashReport, flash
from deploy.installed import rollback, status
from deploy.keys import keygen
from deploy.pack import pack
from deploy.target import parse_target
from edge.contract.errors import BoardError, EdgewiseError, TrustError, UsageError

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs openssh-server")

NOW = datetime(2026, 11, 22, 5, 0, 0, tzinfo=timezone.utc)
ROOT = Path(__file__).resolve().parents[2]
PYTHON36 = ROOT / ".venv36" / "bin" / "python"
MODEL_BYTES = 1_500_000  # that no compression shrinks: so that there is a middle to cut


class Desk:
    """A folder with a key and two releases, and a board behind a real sshd."""

    def __init__(self, folder: Path, board: SshBoard) -> None:
        self.folder, self.board = folder, board
        self.key, self.public, self.other = folder / "desk.key", folder / "desk.pub", folder / "other.key"
        self.one, self.two = folder / "one.edge", folder / "two.edge"

    def flash(self, archive: Path, trust: Path | None = None) -> FlashReport:
        return flash(archive, self.board.target, trust, lambda done, total: None, lambda contact: True)

    def incoming(self) -> list[str]:
        return sorted(path.name for path in (self.board.root / "incoming").rglob("*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk's keys and releases, and a board that was flashed, for each test to copy."""
    folder = tmp_path_factory.mktemp("made")
    key = keygen(folder / "desk")
    keygen(folder / "other")
    noise = random.Random(1).randbytes(MODEL_BYTES)
    for counter, name, head in ((1, "one", noise), (2, "two", noise[::-1])):
        run = make_run(folder / name, head=head)
        pack(run, key.key, NOW, name="tiny", counter=counter, out=folder / f"{name}.edge")
    flash(folder / "one.edge", f"local:{folder}/flashed", key.public, lambda done, total: None, lambda contact: True)
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    subprocess.run(["cp", "-a", f"{made}/.", str(tmp_path)], check=True)
    board = SshBoard(tmp_path / "ssh", sys.executable)
    monkeypatch.setenv("PATH", f"{board.bin}:{os.environ['PATH']}")
    yield Desk(tmp_path, board)
    board.close()


@pytest.fixture
def flashed(desk: Desk) -> Desk:
    subprocess.run(["cp", "-a", str(desk.folder / "flashed"), str(desk.board.root)], check=True)
    return desk


def test_first_contact_status_second_flash_and_rollback(desk: Desk) -> None:
    first = desk.flash(desk.one, desk.public)
    assert (first.state, first.first_contact) == ("GOOD", True)
    assert status(desk.board.target).current == first.release
    second = desk.flash(desk.two)
    assert (second.state, second.first_contact) == ("GOOD", False)
    assert rollback(desk.board.target).release == status(desk.board.target).current == first.release
    assert not {"bootstrap", "incoming"} & set(os.listdir(desk.board.root))


def test_a_release_that_is_there_costs_less_than_a_hundredth_of_it_on_the_wire(flashed: Desk) -> None:
    flashed.board.link.cut(after=0)
    assert flashed.flash(flashed.one).objects_sent == 0
    protocol = 4000  # ssh's own handshake
    assert flashed.board.link.sent - protocol < 0.05 * flashed.one.stat().st_size
    changed_head = changed(flashed.one, flashed.folder / "3.edge", {"labels.txt": b"cat\nfox\n"}, 3, flashed.key)
    flashed.board.link.cut(after=0)
    assert flashed.flash(changed_head).objects_sent == 1
    assert flashed.board.link.sent < 0.05 * flashed.one.stat().st_size


@pytest.mark.slow
def test_a_link_cut_at_any_byte_is_gone_on_from(flashed: Desk) -> None:
    before = os.readlink(flashed.board.root / "current")
    places = random.Random(2)
    for after in [*(places.randrange(500, MODEL_BYTES // 6) for _ in range(5)), MODEL_BYTES * 5 // 10]:
        flashed.board.link.cut(after)
        with pytest.raises(BoardError) as caught:
            flashed.flash(flashed.two)
        assert "\n" not in str(caught.value)
        assert os.readlink(flashed.board.root / "current") == before
        flashed.board.wait_until_alone()
    flashed.board.link.cut(after=0)
    done = flashed.flash(flashed.two)
    assert done.state == "GOOD"
    assert done.bytes_kept > MODEL_BYTES // 10  # sshd drops what it had not handed on when the link was cut
    assert flashed.board.link.sent < MODEL_BYTES * 1.1 - done.bytes_kept
    assert flashed.incoming() == []


@pytest.mark.slow
def test_a_first_contact_cut_at_any_byte_is_gone_on_from(desk: Desk) -> None:
    places = random.Random(3)
    for after in [*(places.randrange(500, MODEL_BYTES // 4) for _ in range(5)), MODEL_BYTES * 6 // 10]:
        desk.board.link.cut(after)
        with pytest.raises(BoardError) as caught:
            desk.flash(desk.one, desk.public)
        assert "\n" not in str(caught.value)
        desk.board.wait_until_alone()
    desk.board.link.cut(after=0)
    done = desk.flash(desk.one, desk.public)
    assert (done.state, done.first_contact) == ("GOOD", True)
    assert done.bytes_kept > 0
    assert 0 < done.staged_seconds < done.seconds


def test_a_part_that_is_not_what_was_sent_is_sent_again(flashed: Desk) -> None:
    flashed.board.link.cut(after=MODEL_BYTES // 2)
    with pytest.raises(LinkLost):
        flashed.flash(flashed.two)
    flashed.board.link.cut(after=0)
    flashed.board.wait_until_alone()
    (part,) = (flashed.board.root / "incoming" / "objects").glob("*.part")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    done = flashed.flash(flashed.two)
    assert (done.state, done.bytes_kept) == ("GOOD", 0)


@pytest.mark.slow
def test_the_boards_process_killed_at_any_moment_leaves_the_old_release_running(flashed: Desk) -> None:
    first = status(flashed.board.target).current
    moments = random.Random(3)
    killed = 0
    for turn in range(6):
        latest = 0.1 * 2**turn  # seconds: a fast machine is done in less than one
        old = flashed.board.courier_pid()
        done = threading.Event()

        def kill(old: int = old, done: threading.Event = done, latest: float = latest) -> None:
            while flashed.board.courier_pid() in (old, 0) and not done.wait(0.01):
                pass
            if not done.wait(moments.uniform(0.0, latest)):
                with suppress(ProcessLookupError):
                    os.kill(flashed.board.courier_pid(), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            flashed.flash(flashed.two)
        except BoardError:
            killed += 1
        done.set()
        killer.join()
        found = status(flashed.board.target)
        assert found.current is not None and found.releases[found.current].state == "GOOD"
        assert (flashed.board.root / "current" / "manifest.json").is_file()
        if found.current != first and not found.busy:
            rollback(flashed.board.target)
            break  # the second release's counter is used up
    assert killed > 0


def test_a_changed_host_key_is_refused_in_one_line(flashed: Desk) -> None:
    flashed.board.know(ssh_keygen(flashed.folder / "another"))
    with pytest.raises(BoardError) as caught:
        flashed.flash(flashed.two)
    assert "IDENTIFICATION HAS CHANGED" in caught.value.found
    assert "ssh-keygen -R '[127.0.0.1]" in caught.value.remedy


@pytest.mark.parametrize("strict", ["ask", "yes", "no"])
def test_an_unknown_host_is_refused_also_where_the_configuration_checks_nothing(desk: Desk, strict: str) -> None:
    desk.board.known_hosts.write_text("")
    desk.board.configure(f"StrictHostKeyChecking {strict}")
    done = subprocess.run(  # setsid: without a terminal ssh cannot ask
        ["setsid", sys.executable, "-m", "edgewise", "flash", str(desk.one), desk.board.target, "--trust",
         str(desk.public), "--yes", "--json"], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Host key verification failed" in json.loads(done.stdout)["error"]["found"]
    assert len(done.stderr.splitlines()) == 1
    assert not desk.board.root.exists()


def test_first_contact_shows_release_and_key_and_without_a_yes_writes_nothing(desk: Desk) -> None:
    seen: list[FirstContact] = []
    with pytest.raises(UsageError):
        flash(desk.one, desk.board.target, desk.public, lambda done, total: None, lambda c: bool(seen.append(c)))
    assert (seen[0].root, seen[0].machine) == (str(desk.board.root), os.uname().machine)
    assert len(seen[0].key_id) == 16 and seen[0].release.startswith("tiny-1-")
    command = [sys.executable, "-m", "edgewise", "flash", str(desk.one), desk.board.target, "--trust", str(desk.public)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and seen[0].key_id in done.stderr
    assert not desk.board.root.exists()
    assert subprocess.run([*command, "--yes"], cwd=ROOT, capture_output=True).returncode == 0


def test_a_release_by_another_key_is_refused_before_anything_of_it_is_parsed_or_run(flashed: Desk) -> None:
    marker = flashed.folder / "marker"
    code = content_of(flashed.two, "runtime/edge/install.py") + f"\nopen({str(marker)!r}, 'w')\n".encode()
    bad = changed(flashed.two, flashed.folder / "bad.edge", {"runtime/edge/install.py": code}, 3, flashed.other)
    before = sorted(flashed.board.root.rglob("*"))
    with pytest.raises(TrustError):
        flashed.flash(bad)
    assert not marker.exists()
    assert sorted(flashed.board.root.rglob("*")) == before


def error_of(desk: Desk) -> EdgewiseError:
    with pytest.raises(BoardError) as caught:
        status(desk.board.target)
    assert "\n" not in str(caught.value)
    return caught.value


def test_without_ssh_it_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(desk.folder))
    assert "has no ssh" in error_of(desk).found


def test_no_server_and_no_such_host_and_no_permission_each_say_so(desk: Desk) -> None:
    (desk.board.folder / "authorized_keys").write_text("")
    assert "Permission denied" in error_of(desk).found
    assert "ssh-copy-id" in error_of(desk).remedy
    desk.board.stop()
    desk.board.target = f"127.0.0.1:{desk.board.server_port}"
    assert "Connection refused" in error_of(desk).found
    desk.board.target = "no-such-board.invalid"
    assert "Could not resolve" in error_of(desk).found


def test_a_board_without_python_or_with_an_old_one_says_so(desk: Desk) -> None:
    python = desk.board.board_bin / "python3"
    old = "import sys; sys.version_info = (3, 5, 2); "
    desk.board.script(python, f'exec "{sys.executable}" -c "{old}$4" "$5" "$6"')
    assert "Python 3.5" in error_of(desk).found
    python.unlink()
    for name in ("sh", "env"):
        (desk.board.board_bin / name).symlink_to(f"/bin/{name}")
    config = desk.board.folder / "sshd_config"
    desk.board.stop()
    desk.board.script(python, "exit 127")
    desk.board.start()
    assert config.is_file() and "no python3" in error_of(desk).found


def test_a_new_key_takes_the_old_ones_place_over_ssh(flashed: Desk) -> None:
    command = [sys.executable, "-m", "edgewise"]
    new = str(flashed.folder / "new")
    for words in (["keygen", new, "--replaces", str(flashed.key)], ["rotate", new + ".rotation", flashed.board.target]):
        done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "in place of" in done.stdout
    with pytest.raises(TrustError):
        flashed.flash(flashed.two)
    by_new = changed(flashed.two, flashed.folder / "by-new.edge", {}, 2, Path(new + ".key"))
    assert flashed.flash(by_new).state == "GOOD"
    assert flashed.incoming() == []


def test_what_a_login_shell_prints_is_no_answer(flashed: Desk) -> None:
    flashed.board.script(
        flashed.board.board_bin / "python3", f'echo "Welcome to Ubuntu"; echo "{{}}"; exec "{sys.executable}" "$@"'
    )
    assert status(flashed.board.target).current is not None


def test_a_folder_that_cannot_be_made_is_named(desk: Desk) -> None:
    (desk.board.home / "edgewise-board").symlink_to("/proc/nothing")
    with pytest.raises(BoardError) as caught:
        desk.flash(desk.one, desk.public)
    assert "/proc/nothing" in caught.value.found


@pytest.fixture
def small_disk(desk: Desk) -> Iterator[Desk]:
    """The board's folder is a disk of 1 MB. Needs root."""
    desk.board.root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(desk.board.root)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount here")
    yield desk
    subprocess.run(["umount", "-l", str(desk.board.root)], check=True)


def test_a_new_board_refuses_a_release_for_another_before_its_models_are_sent(desk: Desk) -> None:
    other = desk.folder / "orin.edge"
    pack(desk.folder / "one", desk.key, NOW, name="tiny", counter=3, out=other, boards=("jetson-orin-nano",))
    desk.board.link.cut(after=0)
    with pytest.raises(BoardError) as caught:
        desk.flash(other, desk.public)
    assert "jetson-orin-nano" in caught.value.found
    assert desk.board.link.sent < MODEL_BYTES // 2
    assert not {"bootstrap", "incoming"} & set(os.listdir(desk.board.root))


def test_a_disk_without_room_is_found_before_the_release_is_sent(small_disk: Desk) -> None:
    small_disk.board.link.cut(after=0)
    with pytest.raises(BoardError) as caught:
        small_disk.flash(small_disk.one, small_disk.public)
    assert "bytes free on the board's disk" in caught.value.found
    assert small_disk.board.link.sent < MODEL_BYTES // 2
    assert os.listdir(small_disk.board.root) == ["trust"]


def test_a_disk_that_fills_half_way_is_said_and_not_left_full(small_disk: Desk) -> None:
    with Board(parse_target(small_disk.board.target)) as board:
        board.look()
        board.claim()
        with pytest.raises(BoardError) as caught:
            file = Wire("incoming/objects/big", 0, 20_000_000, [bytes(1_000_000)] * 20, None)
            board.bring([file], lambda done: None)
    assert "the disk is full" in caught.value.found
    assert small_disk.incoming() == ["objects"]  # no part


def test_a_board_whose_file_system_is_read_only_says_so_and_still_tells_what_runs(small_disk: Desk) -> None:
    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how},size=16M", str(small_disk.board.root)], check=True)

    remount("rw")
    first = small_disk.flash(small_disk.one, small_disk.public)
    remount("ro")
    with pytest.raises(BoardError) as caught:
        small_disk.flash(small_disk.two)
    assert ("Read-only file system" in caught.value.found, "read-only" in caught.value.remedy) == (True, True)
    assert status(small_disk.board.target).current == first.release
    remount("rw")
    assert small_disk.flash(small_disk.two).state == "GOOD"


def test_two_desks_at_once_do_not_mix(flashed: Desk) -> None:
    with Board(parse_target(flashed.board.target)) as other:
        other.look()
        other.claim()
        with pytest.raises(BoardError) as caught:
            flashed.flash(flashed.two)
    assert "another desk" in caught.value.found
    assert flashed.flash(flashed.two).state == "GOOD"


def test_a_boards_own_verb_runs_at_the_end_of_the_connection(flashed: Desk) -> None:
    command = [sys.executable, "-m", "edgewise", "learned", "--board", flashed.board.target, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1  # this release's head.npz is none
    assert json.loads(done.stdout)["error"]["kind"] == "FormatError"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON36.exists(), reason="needs .venv36, which scripts/test makes")
def test_a_stock_nanos_python_is_flashed_over_ssh(desk: Desk) -> None:
    desk.board.script(desk.board.board_bin / "python3", f'exec "{PYTHON36}" "$@"')
    first = desk.flash(desk.one, desk.public)
    second = desk.flash(desk.two)
    assert (first.state, second.state) == ("GOOD", "GOOD")
    assert rollback(desk.board.target).release == first.release
