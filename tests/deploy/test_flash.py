"""Flashing a stand-in board: real archives, real processes, a real (tiny) model."""

import os
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from run_maker import changed, content_of, make_run

from deploy.archive import archive_bytes
from deploy.flash import FlashReport, flash
from deploy.installed import rollback, rotate, status
from deploy.keys import keygen
from deploy.pack import pack
from deploy.transfer import _turn
from deploy.verbs import _flash_lines
from deploy.verbs import status as status_lines
from edge.board import Board, locked
from edge.contract.archive import read_signed_part
from edge.contract.errors import BoardError, FormatError, GateError, InputError, TrustError, UsageError
from edge.contract.results import BUSY
from edge.engine_record import Circumstances, Measured, Record, Tried, save_record

NOW = datetime(2026, 11, 22, 5, 0, 0, tzinfo=timezone.utc)
INSTALL = "runtime/edge/install.py"


class Desk:
    """A folder with a key, two releases that share all but the head, and a board to be."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "board"
        self.target = f"local:{self.root}"
        self.key, self.public, self.other = folder / "desk.key", folder / "desk.pub", folder / "other.key"
        self.one, self.two = folder / "one.edge", folder / "two.edge"

    def make(self) -> "Desk":
        for key in (self.key, self.other):
            keygen(key.with_suffix(""))
        pack(make_run(self.folder / "one"), self.key, NOW, name="tiny", counter=1, out=self.one)
        pack(make_run(self.folder / "two", head=b"another"), self.key, NOW, name="tiny", counter=2, out=self.two)
        return self

    def copy(self, to: Path) -> "Desk":
        """Hard links stay hard links."""
        subprocess.run(["cp", "-a", f"{self.folder}/.", str(to)], check=True)
        return Desk(to)

    def flash(self, archive: Path, trust: Path | None = None) -> FlashReport:
        return flash(archive, self.target, trust, lambda done, total: None, lambda contact: True)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("made")).make()


@pytest.fixture(scope="module")
def made_and_flashed(made: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = made.copy(tmp_path_factory.mktemp("flashed"))
    desk.flash(desk.one, desk.public)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return made.copy(tmp_path)


@pytest.fixture
def flashed(made_and_flashed: Desk, tmp_path: Path) -> Desk:
    return made_and_flashed.copy(tmp_path)


def test_first_contact_then_only_what_changed_then_back(desk: Desk) -> None:
    first = desk.flash(desk.one, desk.public)
    assert (first.state, first.first_contact) == ("GOOD", True)
    assert not {"bootstrap", "incoming"} & set(os.listdir(desk.root))
    second = desk.flash(desk.two)
    assert (second.state, second.first_contact) == ("GOOD", False)
    assert second.objects_sent == 2  # head.npz and the report with its hash
    assert second.bytes_sent < first.bytes_sent / 2
    assert status(desk.target).current == second.release
    assert rollback(desk.target).release == status(desk.target).current == first.release
    assert status(desk.target).counter == 2


def test_what_the_board_has_learnt_stops_a_flash_unless_it_may_be_set_aside(flashed: Desk) -> None:
    (flashed.root / "personal").mkdir()
    (flashed.root / "personal" / "learned.sqlite").write_bytes(b"")
    with pytest.raises(FormatError):  # these releases' head.npz is none, so what would be lost cannot be known
        flashed.flash(flashed.two)
    report = flash(flashed.two, flashed.target, None, lambda done, total: None, lambda contact: True, set_aside=True)
    assert report.state == "GOOD"


def test_progress_ends_at_the_total(desk: Desk) -> None:
    calls: list[tuple[int, int]] = []
    flash(desk.one, desk.target, desk.public, lambda done, total: calls.append((done, total)), lambda contact: True)
    assert calls[-1][0] == calls[-1][1] > 0
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_the_release_that_is_there_already_costs_a_manifest(flashed: Desk) -> None:
    again = flashed.flash(flashed.one)
    assert (again.state, again.objects_sent) == ("GOOD", 0)


def test_first_contact_without_a_key_is_refused_before_a_folder_is_made(desk: Desk) -> None:
    with pytest.raises(UsageError) as caught:
        desk.flash(desk.one)
    assert "--trust" in caught.value.remedy
    assert not desk.root.exists()


def with_marker(desk: Desk, archive: Path, counter: int, key: Path) -> tuple[Path, Path]:
    """The archive with a runtime that writes down where it runs from, signed by `key`; and where it writes that."""
    marker = desk.folder / f"marker{counter}"
    code = content_of(archive, INSTALL) + f"\nopen({str(marker)!r}, 'a').write(__file__ + chr(10))\n".encode()
    return changed(archive, desk.folder / f"marked{counter}.edge", {INSTALL: code}, counter, key), marker


def test_at_first_contact_the_runtime_of_a_badly_signed_archive_is_neither_sent_nor_run(desk: Desk) -> None:
    bad, marker = with_marker(desk, desk.one, 3, desk.other)
    with pytest.raises(TrustError):
        desk.flash(bad, desk.public)
    assert not marker.exists()
    assert not desk.root.exists()


def test_later_the_runtime_of_a_badly_signed_archive_is_neither_sent_nor_run(flashed: Desk) -> None:
    before = flashed.files()
    bad, marker = with_marker(flashed, flashed.two, 3, flashed.other)
    with pytest.raises(TrustError):
        flashed.flash(bad)
    with pytest.raises(TrustError):
        flashed.flash(bad, flashed.public)
    assert not marker.exists()
    assert flashed.files() == before


def test_a_key_named_later_is_not_added_to_what_the_board_trusts(flashed: Desk) -> None:
    bad, marker = with_marker(flashed, flashed.two, 3, flashed.other)
    with pytest.raises(TrustError):
        flashed.flash(bad, flashed.other.with_suffix(".pub"))
    assert not marker.exists()
    assert len(os.listdir(flashed.root / "trust")) == 1


def test_what_runs_is_the_boards_copy_of_the_runtime_never_the_desks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with the desk's package in the working folder and on PYTHONPATH, where a child would look first."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    marked, marker = with_marker(desk, desk.one, 3, desk.key)
    release = desk.flash(marked, desk.public).release
    root = desk.root.resolve()
    assert set(marker.read_text().split()) == {str(root / "bootstrap" / INSTALL.replace("runtime/", "runtime.zip/"))}
    marker.unlink()
    status(desk.target)
    assert set(marker.read_text().split()) == {str(root / "releases" / release / INSTALL)}


def test_the_runtime_is_sent_first_and_then_the_largest_file() -> None:
    sizes = {"labels.txt": 8, "model.u8.onnx": 900, "runtime/edge/run.py": 20, "head.npz": 700, "runtime/edge/a.py": 1}
    order = ["runtime/edge/run.py", "runtime/edge/a.py", "model.u8.onnx", "head.npz", "labels.txt"]
    assert sorted(sizes, key=lambda name: _turn(name, sizes[name])) == order


def test_status_says_that_a_flash_is_under_way(flashed: Desk) -> None:
    with locked(Board(str(flashed.root), "x86_64")):
        assert BUSY in status_lines(flashed.target).lines
    assert BUSY not in status_lines(flashed.target).lines


def test_a_board_whose_engines_were_measured_with_another_network_is_to_measure_again(flashed: Desk) -> None:
    with_another = Circumstances("", "x86_64", "", "", "1.31.1", "", models="0" * 64)
    measured = Measured(with_another, (Tried("cpu-u8", "u8", "", 5, 5, 1.0, 3.25),), "cpu-u8", "no other runs")
    save_record(Board(str(flashed.root), "x86_64"), Record("", (measured,)))
    report = flashed.flash(flashed.two)
    assert report.needs_measuring
    assert f"`edgewise engines --board {flashed.target}` again" in _flash_lines(flashed.target, report)[-1]


def test_a_model_that_computes_something_else_is_not_installed(flashed: Desk) -> None:
    golden = content_of(flashed.one, "golden.npz")
    place = golden.index(b"u8.npy") + 200  # inside the stored features
    bad = golden[:place] + bytes([golden[place] ^ 1]) + golden[place + 1 :]
    archive = changed(flashed.one, flashed.folder / "bad.edge", {"golden.npz": bad}, 5, flashed.key)
    before = status(flashed.target)
    with pytest.raises(GateError) as caught:
        flashed.flash(archive)
    assert "golden vectors" in caught.value.found
    after = status(flashed.target)
    assert (after.current, after.counter) == (before.current, before.counter)
    assert [entry.state for entry in after.releases.values() if entry.why] == ["FAILED"]


def test_a_runtime_that_crashes_is_not_installed(flashed: Desk) -> None:
    crash = {"runtime/edge/golden.py": b"import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"}
    archive = changed(flashed.one, flashed.folder / "crash.edge", crash, 5, flashed.key)
    before = flashed.files()
    with pytest.raises(GateError) as caught:
        flashed.flash(archive)
    assert "-11" in caught.value.found
    assert flashed.files() == before


def test_an_older_release_is_refused(flashed: Desk) -> None:
    flashed.flash(flashed.two)
    old = changed(flashed.one, flashed.folder / "old.edge", {"head.npz": b"old"}, 2, flashed.key)
    with pytest.raises(TrustError):
        flashed.flash(old)


def test_an_archive_made_for_one_board_cannot_be_flashed(desk: Desk) -> None:
    partial = desk.folder / "partial.edge"
    partial.write_bytes(archive_bytes(*read_signed_part(str(desk.one)), []))
    with pytest.raises(FormatError):
        desk.flash(partial, desk.public)
    assert not desk.root.exists()


def test_a_board_takes_releases_of_the_new_key_only_once_it_took_the_others_place(flashed: Desk) -> None:
    new = keygen(flashed.folder / "new", replaces=flashed.key)
    assert new.rotation is not None
    done = rotate(new.rotation, flashed.target)
    assert (done.trusted, done.already) == (new.key_id, False)
    assert status(flashed.target).trusted == (new.key_id,)
    assert rotate(new.rotation, flashed.target).already
    before = flashed.files()
    with pytest.raises(TrustError):
        flashed.flash(flashed.two)
    assert flashed.files() == before
    assert flashed.flash(changed(flashed.two, flashed.folder / "new.edge", {}, 2, new.key)).state == "GOOD"


def test_a_rotation_by_a_key_that_the_board_does_not_trust_is_refused(flashed: Desk) -> None:
    foreign = keygen(flashed.folder / "new", replaces=flashed.other)
    before = flashed.files()
    assert foreign.rotation is not None
    with pytest.raises(TrustError):
        rotate(foreign.rotation, flashed.target)
    with pytest.raises(FormatError):
        rotate(foreign.public, flashed.target)
    with pytest.raises(InputError):
        rotate(flashed.folder / "none", flashed.target)
    assert flashed.files() == before


def test_a_board_whose_releases_were_wiped_takes_the_same_one_again_with_its_key_and_none_before_it(
    flashed: Desk,
) -> None:
    second = flashed.flash(flashed.two).release
    shutil.rmtree(flashed.root / "releases")
    with pytest.raises(UsageError):
        flashed.flash(flashed.two)
    for archive, key in ((flashed.one, flashed.public), (flashed.two, flashed.other.with_suffix(".pub"))):
        with pytest.raises(TrustError):
            flashed.flash(archive, key)
    assert flashed.flash(flashed.two, flashed.public).release == status(flashed.target).current == second


def test_a_board_whose_current_release_is_gone_says_so_in_one_line(flashed: Desk) -> None:
    (flashed.root / "releases").rename(flashed.root / "lost")
    with pytest.raises(BoardError):
        status(flashed.target)


def test_a_folder_that_is_no_board_is_left_alone(desk: Desk) -> None:
    (desk.root / "incoming").mkdir(parents=True)
    (desk.root / "incoming" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError):
        desk.flash(desk.one, desk.public)
    assert desk.files() == {"incoming/letter.txt"}


def test_first_contact_can_be_repeated_with_the_same_key_only(desk: Desk) -> None:
    fails = changed(desk.one, desk.folder / "fails.edge", {"golden.npz": b"no npz"}, 1, desk.key)
    with pytest.raises(GateError):
        desk.flash(fails, desk.public)
    foreign = changed(desk.one, desk.folder / "foreign.edge", {}, 1, desk.other)
    with pytest.raises(TrustError):
        desk.flash(foreign, desk.other.with_suffix(".pub"))
    assert desk.flash(desk.one, desk.public).state == "GOOD"


@pytest.mark.parametrize(
    "target", ["local:", "", "ssh:host", "-oProxyCommand=x", "a@-b", "a b@c", "host:0", "host:65536", "[::1", "a@b@c"]
)
def test_other_targets_are_wrong_use(desk: Desk, target: str) -> None:
    with pytest.raises(UsageError):
        flash(desk.one, target, desk.public, lambda done, total: None, lambda contact: True)


def test_a_board_without_a_release_has_no_status_and_nothing_to_go_back_to(desk: Desk) -> None:
    for ask in (status, rollback):
        with pytest.raises(BoardError):
            ask(desk.target)


def test_rollback_on_a_board_with_one_release_says_so(flashed: Desk) -> None:
    with pytest.raises(BoardError):
        rollback(flashed.target)
