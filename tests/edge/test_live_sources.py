"""Real streams, real servers, real processes: what hangs is killed, what was lost comes back, no password is shown."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from edge.address import escaped, hidden, host_and_port
from edge.camera import refuse_password
from edge.capture import Patience
from edge.contract.errors import SourceError, UsageError
from edge.contract.results import Prediction, SourceState
from edge.loop import run_loop
from edge.sources import find_feed, monotonic_ns, open_source
from edge.sources.gstreamer import csi_pipeline, read_pipe, to_opencv
from edge.sources.reader import as_bgr, deliver
from edge.sources.reader_process import ReaderProcess, read_apart

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench")
SOON = Patience(first_retry_s=0.05, longest_retry_s=0.1)
SYSTEM_PYTHON = "/usr/bin/python3"
BALL = ["videotestsrc is-live=true pattern=ball", "video/x-raw,format=BGR,width=320,height=240,framerate=30/1"]

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gstreamer1.0-tools is not here")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(script, *words, **more):
    """A server of bench/ in a process of its own, which listens."""
    command = [more.get("python", sys.executable), os.path.join(BENCH, script)] + [str(word) for word in words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == b"listening\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def has_rtsp_server():
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.call([SYSTEM_PYTHON, "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def classify(image):
    return Prediction("seen", 1.0, (("seen", 1.0),), False, 0.0, 0.0)


def until_seen(answers, wanted):
    """What came up to a result, or to a state of the name `wanted`."""
    came = []
    give_up = time.monotonic() + 30
    for _, result in answers:
        came.append(result.state if isinstance(result, SourceState) else "result")
        if came[-1] == wanted:
            return came
        assert time.monotonic() < give_up
    return came


def children():
    """The processes that this one started and that still are there."""
    found = subprocess.run(["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], stdout=subprocess.PIPE)
    lines = found.stdout.decode("utf-8").splitlines()
    return [line for line in lines if "edge.sources.reader" in line or "gst-launch" in line]


@pytest.mark.parametrize(
    "address, shown",
    [
        ("rtsp://ada:secret@cam/live", "rtsp://cam/live"),
        ("rtsp://ada:se@c/ret:1@10.0.0.1:8554/live", "rtsp://10.0.0.1:8554/live"),
        ("http://cam/a.mjpg?user=ada&pwd=secret&size=2", "http://cam/a.mjpg?user=ada&pwd=***&size=2"),
        ("rtsp://cam/user=ada&password=secret&channel=1", "rtsp://cam/user=ada&password=***&channel=1"),
        ("rtsp://cam/live?access_token=secret", "rtsp://cam/live?access_token=***"),
        ("film@home.mp4", "film@home.mp4"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(address, shown):
    assert hidden(address) == shown
    if address.startswith(("rtsp", "http")):
        assert find_feed(address).name == shown


def test_a_password_may_be_typed_as_it_is():
    assert escaped("rtsp://ada:se@c/ret:1@cam/live") == "rtsp://ada:se%40c%2Fret%3A1@cam/live"
    assert escaped("rtsp://ada:p%40ss@cam/live") == "rtsp://ada:p%40ss@cam/live"
    assert escaped("http://cam/a.mjpg") == "http://cam/a.mjpg"
    assert host_and_port("rtsp://ada:se@c/ret:1@cam/live") == ("cam", 554)
    assert host_and_port("http://[::1]:8080/a") == ("::1", 8080)


@pytest.mark.parametrize(
    "text", ["ftp://cam/a", "rtsp://", "rtsp://cam:port/", "http://a b/", "csi:x", "csi:0:1x1", "test:5", "test:63x9@1"]
)
def test_a_source_that_cannot_be_is_wrong_use(text):
    with pytest.raises(UsageError):
        find_feed(text)


def test_a_source_may_stand_in_a_file_so_that_no_password_is_typed(tmp_path):
    (tmp_path / "camera.txt").write_text("rtsp://ada:secret@cam/live\n")
    assert find_feed("@{}".format(tmp_path / "camera.txt")).name == "rtsp://cam/live"
    for content in ("", "a\nb\n", "@other"):
        (tmp_path / "camera.txt").write_text(content)
        with pytest.raises(UsageError):
            find_feed("@{}".format(tmp_path / "camera.txt"))


@pytest.mark.parametrize("source", ["rtsp://ada:secret@cam/live", "http://cam/?token=secret", "@relative.txt"])
def test_what_runs_for_good_takes_no_password(source):
    with pytest.raises(UsageError) as caught:
        refuse_password(source)
    assert "secret" not in str(caught.value)
    for fine in ("0", "rtsp://cam/live", "@/etc/camera"):
        refuse_password(fine)


def test_a_server_that_is_not_there_is_known_at_once_and_named_without_its_password():
    feed = find_feed("rtsp://ada:secret@127.0.0.1:{}/live".format(free_port()))
    with pytest.raises(SourceError) as caught:
        feed.look()
    assert "is not reached" in str(caught.value) and "secret" not in str(caught.value)


def test_the_pattern_moves_at_its_pace():
    with open_source("test:64x48@200") as source:
        frames = [source.read() for _ in range(20)]
    assert [frame.sequence for frame in frames] == list(range(20)) and frames[0].image.shape == (48, 64, 3)
    assert not np.array_equal(frames[0].image, frames[1].image)
    assert frames[-1].captured_ns - frames[0].captured_ns >= 0.08e9


def test_a_stream_gives_frames_of_every_size_that_it_changes_to():
    port = free_port()
    with serving("mjpeg_server.py", port, 200, "64x48,320x240,32x24", 20):
        with open_source("http://127.0.0.1:{}/live.mjpg".format(port)) as source:
            shapes = {source.read().image.shape for _ in range(150)}
    assert shapes >= {(48, 64, 3)}
    assert children() == []


def test_a_stream_that_ends_is_lost_and_comes_back():
    port = free_port()
    address = "http://ada:secret@127.0.0.1:{}/live.mjpg".format(port)
    with contextlib.closing(run_loop([find_feed(address)], classify, patience=SOON)) as answers:
        assert until_seen(answers, "lost") == ["lost"]
        with serving("mjpeg_server.py", port, 100, "64x48"):
            came = until_seen(answers, "result")
            assert came[-2:] == ["live", "result"]
            shown = children()
            assert len(shown) == 1 and "secret" not in shown[0]
        assert "lost" in until_seen(answers, "lost")
        with serving("mjpeg_server.py", port, 100, "64x48"):
            until_seen(answers, "live")  # a frame of before the loss may have come first
            assert until_seen(answers, "result") == ["result"]
    assert children() == []


def test_a_server_that_hangs_is_given_up_and_its_reader_killed():
    port = free_port()
    with serving("mjpeg_server.py", port, 100, "64x48") as server:
        address = "http://127.0.0.1:{}/live.mjpg".format(port)
        with read_apart({"address": address}, "camera", read_s=0.5) as source:
            source.read()
            os.kill(server.pid, signal.SIGSTOP)
            with pytest.raises(SourceError) as caught:
                while True:
                    source.read()
    assert "delivered nothing for 0.5 s" in str(caught.value) and children() == []


def test_a_reader_that_is_killed_is_an_error_of_a_line():
    port = free_port()
    with serving("mjpeg_server.py", port, 100, "64x48"):
        reader = ReaderProcess({"address": "http://127.0.0.1:{}/live.mjpg".format(port), "name": "camera"}, "camera")
        frames = reader.frames(15.0, 5.0)
        next(frames)
        reader.kill()
        with pytest.raises(SourceError) as caught:
            for _ in frames:
                pass
        reader.close()
    assert "reader of camera ended with -9" in str(caught.value)


def test_a_read_that_waits_returns_when_the_source_is_closed_elsewhere():
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        source = open_source("http://127.0.0.1:{}/live.mjpg".format(silent.getsockname()[1]))
        ended = []

        def read():
            with pytest.raises(SourceError):
                source.read()
            ended.append(True)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.2)
        source.close()
        thread.join(20)
    assert ended == [True] and children() == []


def test_a_reader_does_not_outlive_whoever_started_it():
    port = free_port()
    code = (
        "import sys, time\nfrom edge.sources import open_source\n"
        "source = open_source(sys.argv[1])\nsource.read()\nprint(source._interrupt.__self__._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with serving("mjpeg_server.py", port, 100, "64x48"):
        address = "http://127.0.0.1:{}/live.mjpg".format(port)
        owner = subprocess.Popen(
            [sys.executable, "-c", code, address], stdout=subprocess.PIPE, cwd=os.path.dirname(BENCH)
        )
        reader = int(owner.stdout.readline())
        owner.kill()
        owner.wait()
        owner.stdout.close()
        give_up = time.monotonic() + 30
        while os.path.exists("/proc/{}".format(reader)) and time.monotonic() < give_up:
            time.sleep(0.05)
        assert not os.path.exists("/proc/{}".format(reader))


def test_nothing_is_left_of_many_openings():
    port = free_port()
    files = len(os.listdir("/proc/self/fd"))
    with serving("mjpeg_server.py", port, 200, "64x48", 60):
        feed = find_feed("http://127.0.0.1:{}/live.mjpg".format(port))
        with contextlib.closing(run_loop([feed], classify, patience=SOON)) as answers:
            for _ in range(3):
                until_seen(answers, "lost")
                until_seen(answers, "result")
    assert children() == [] and len(os.listdir("/proc/self/fd")) == files
    assert [thread.name for thread in threading.enumerate() if thread.name == "capture"] == []


@pytest.mark.skipif(not has_rtsp_server(), reason="gir1.2-gst-rtsp-server-1.0 is not here")
def test_an_rtsp_server_with_a_password_gives_frames_and_is_waited_for():
    port = free_port()
    words = (port, "320x240", 30, "ada", "se@c/ret")
    feed = find_feed("rtsp://ada:se@c/ret@127.0.0.1:{}/live".format(port))
    wrong = find_feed("rtsp://ada:wrong@127.0.0.1:{}/live".format(port))
    with contextlib.closing(run_loop([feed], classify, patience=SOON)) as answers:
        with serving("rtsp_server.py", *words, python=SYSTEM_PYTHON):
            until_seen(answers, "result")
            with wrong.open() as source, pytest.raises(SourceError) as caught:
                source.read()
            assert "password" in str(caught.value) and "wrong" not in str(caught.value)
        until_seen(answers, "lost")
        with serving("rtsp_server.py", *words, python=SYSTEM_PYTHON):
            assert until_seen(answers, "result")[-1] == "result"


def test_the_csi_pipeline_is_nvidias():
    pipeline = csi_pipeline(1, (1280, 720), 30)
    assert to_opencv(pipeline) == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! nvvidconv ! "
        "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )


@needs_gstreamer
def test_frames_come_through_gst_launchs_pipe_and_it_is_killed_when_it_hangs():
    source = read_pipe(BALL, (320, 240), 30, "csi:0", monotonic_ns, read_s=0.5)
    frames = [source.read() for _ in range(3)]
    assert frames[0].image.shape == (240, 320, 3) and not np.array_equal(frames[0].image, frames[2].image)
    os.kill(source._interrupt.__self__._process.pid, signal.SIGSTOP)
    with pytest.raises(SourceError) as caught:
        for _ in range(100):
            source.read()
    source.close()
    assert "delivered nothing" in str(caught.value) and children() == []


@needs_gstreamer
def test_a_pipeline_that_cannot_be_says_so_in_gstreamers_words():
    with read_pipe(["nosuchsrc"], (320, 240), 30, "csi:0", monotonic_ns) as source:
        with pytest.raises(SourceError) as caught:
            source.read()
    assert "nosuchsrc" in str(caught.value)


class Capture:
    """What is used of a cv2.VideoCapture: `pictures`, None for one that does not decode."""

    def __init__(self, pictures, code=b"MJPG"):
        self._pictures = list(pictures)
        self._code = int.from_bytes(code, "little")
        self._at = -1

    def grab(self):
        self._at += 1
        return self._at < len(self._pictures)

    def retrieve(self, into):
        return self._pictures[self._at] is not None, self._pictures[self._at]

    def get(self, what):
        return float(self._code)


class Kept:
    image = None

    def put(self, image):
        self.image = image


def test_a_torn_frame_is_left_out_and_a_camera_that_stops_is_an_error():
    asked, said = threading.Event(), []

    def say(words):
        said.append(words["sequence"])
        asked.set()

    asked.set()
    picture = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(SourceError) as caught:
        deliver(Capture([picture, None, picture]), "/dev/video0", Kept(), asked, say)
    assert said == [0, 2] and "stopped after 3 frames" in str(caught.value)


def test_a_frame_that_nobody_asked_for_is_not_even_decoded():
    asked, said = threading.Event(), []
    asked.set()
    with pytest.raises(SourceError):
        deliver(Capture([np.zeros((2, 2, 3), np.uint8)] * 9), "camera", Kept(), asked, said.append)
    assert [words["sequence"] for words in said] == [0]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)])
def test_grey_and_colour_become_bgr(shape):
    assert as_bgr(np.full(shape, 7, np.uint8), "MJPG", "camera").shape == (4, 6, 3)


@pytest.mark.parametrize("code, image", [("RG10", np.zeros((4, 6), np.uint8)), ("Y16 ", np.zeros((4, 6), np.uint16))])
def test_a_format_that_is_no_picture_is_refused_in_a_line(code, image):
    with pytest.raises(SourceError) as caught:
        as_bgr(image, code, "/dev/video0")
    assert code in str(caught.value) and "/dev/video0" in str(caught.value)


def test_a_password_that_was_typed_is_in_no_process_title_and_in_nothing_said(tmp_path):
    port = free_port()
    address = "http://ada:se@c/ret@127.0.0.1:{}/live.mjpg".format(port)
    command = [sys.executable, "-m", "edge", "--board", "", "collect", address, "--label", "a", "--all"]
    command += ["--out", str(tmp_path / "data")]
    with serving("mjpeg_server.py", port, 50, "64x48"):
        quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        run = subprocess.Popen(command, cwd=os.path.dirname(BENCH), stdout=subprocess.PIPE, **quiet)
        said = run.stdout.readline() + run.stdout.readline()  # the second is of a picture that was taken
        titles = subprocess.run(["ps", "-eo", "pid=,args="], stdout=subprocess.PIPE).stdout
    while b"lost" not in said:
        line = run.stdout.readline()
        assert line
        said += line
    run.send_signal(signal.SIGINT)
    said += run.stdout.read()  # not communicate(), which passes over what readline() read ahead
    run.wait(30)
    assert b"a 1" in said and b"lost" in said
    assert b"ret@" not in titles and b"ret@" not in said and b"ada" not in said
