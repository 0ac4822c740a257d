"""The board itself: cameras, clock, disk, memory, heat and open ports."""

import glob
import os
import platform
import re
import time
from typing import Dict, List, Optional

from edge.doctor.finding import Finding, Place, hint, ok, read, wrong

_MB = 1 << 20
_CLOCK_S = 120
_HOT_C = 80
_LISTENING = "0A"  # in /proc/net/tcp


def board(place: Place) -> Finding:
    model = read(place.at("proc/device-tree/model")) or platform.machine()
    release = read(place.at("etc/nv_tegra_release")) or ""
    found = re.search(r"R(\d+) .*?REVISION: ([\d.]+)", release)
    return ok("board", model + (", L4T {}.{}".format(*found.groups()) if found else ""))


def cameras(place: Place) -> List[Finding]:
    """A finding for each camera node, or a hint that there is none."""
    nodes = sorted(glob.glob(place.at("dev/video[0-9]*")))
    if not nodes:
        return [hint("camera", "there is no /dev/video*", "plug a camera in, then look at `dmesg | tail`")]
    return [_camera(place, node) for node in nodes]


def _camera(place: Place, node: str) -> Finding:
    device = "/dev/" + os.path.basename(node)
    name = read(place.at("sys/class/video4linux", os.path.basename(node), "name")) or "a camera"
    if os.access(node, os.R_OK | os.W_OK):
        return ok("camera", "{}: {}".format(device, name))
    return wrong(
        "camera",
        "{}: {}, not for this user".format(device, name),
        "run `sudo usermod -aG video $USER` and log in again",
    )


def clock(place: Place, desk_s: Optional[float], now: float) -> Finding:
    """desk_s: the desk's clock, seconds since 1970; without it the clock is held against when the release arrived."""
    remedy = "run `sudo timedatectl set-ntp true`, or set it by `sudo date -s`"
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if desk_s is not None and abs(now - desk_s) > _CLOCK_S:
        word = "behind" if now < desk_s else "ahead of"
        found = "{}, {:.0f} s {} the desk's: lessons get wrong times".format(said, abs(now - desk_s), word)
        return hint("clock", found, remedy)
    try:
        arrived = os.path.getmtime(place.board("state.json"))
    except OSError:
        arrived = 0.0
    if now < arrived - _CLOCK_S:
        return hint("clock", "{}, which is before the last flash: lessons get wrong times".format(said), remedy)
    return ok("clock", said)


def disk(place: Place) -> Finding:
    """Room for one more release of the size that is there, which a flash needs, or for a usual one."""
    folder = place.root
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    needed = max(100 * _MB, 2 * _size(place.board("current")))
    said = "{} MB free at {}".format(free // _MB, folder)
    if free < needed:
        return wrong("disk", "{}; a flash may need {}".format(said, needed // _MB), "free some space: `sudo apt clean`")
    if found.f_files and found.f_favail < 1000:
        return wrong("disk", "{} files more can be made at {}".format(found.f_favail, folder), "remove some files")
    return ok("disk", said)


def _size(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(top, name)) for top, _, names in os.walk(folder + "/") for name in names)


def memory(place: Place) -> Finding:
    found = dict(re.findall(r"^(\w+): +(\d+) kB", read(place.at("proc/meminfo")) or "", re.MULTILINE))
    if "MemAvailable" not in found:
        return hint("memory", "/proc/meminfo does not say", "look at `free -m`")
    total, available, swap = (int(found.get(key, 0)) // 1024 for key in ("MemTotal", "MemAvailable", "SwapTotal"))
    said = "{} of {} MB are available, {} MB of swap".format(available, total, swap)
    if available < 150:
        return wrong("memory", said, "end other programs; `sudo systemctl isolate multi-user.target` ends the desktop")
    if swap == 0 and total < 3000:
        return hint("memory", said, "add swap: JetPack has `sudo systemctl enable --now nvzramconfig`")
    return ok("memory", said)


def heat(place: Place) -> Finding:
    """Of the warmest zone, and whether the kernel slows a processor down for it."""
    zones = temperatures(place)
    if not zones:
        return ok("heat", "this system does not say")
    name, warmest = max(zones.items(), key=lambda each: each[1])
    said = "{:.0f} degrees C at {}".format(warmest, name)
    slowed = slowed_down(place)
    if slowed:
        return hint("heat", "{}; {} is slowed down".format(said, slowed), "add a heat sink or a fan")
    if warmest >= _HOT_C:
        return hint("heat", said, "add a heat sink or a fan")
    return ok("heat", said)


def temperatures(place: Place) -> Dict[str, float]:
    """Degrees C by zone; empty where the system does not say."""
    zones = {}
    for path in glob.glob(place.at("sys/class/thermal/thermal_zone*")):
        text = read(os.path.join(path, "temp"))  # thousandths of a degree; a zone that is off gives none
        if text and re.fullmatch(r"\d+", text):
            zones[read(os.path.join(path, "type")) or path] = int(text) / 1000
    return zones


def slowed_down(place: Place) -> str:
    """The processor that the kernel slows down for its heat, or nothing."""
    for path in sorted(glob.glob(place.at("sys/class/thermal/cooling_device*"))):
        kind = read(os.path.join(path, "type")) or ""
        if (
            re.search("cpu|gpu|processor", kind, re.IGNORECASE)
            and (read(os.path.join(path, "cur_state")) or "0") != "0"
        ):
            return kind
    return ""


def speed(place: Place) -> Finding:
    """Whether the power mode holds the processor below what it can do."""
    policy = place.at("sys/devices/system/cpu/cpu0/cpufreq")
    allowed, highest = (read(os.path.join(policy, name)) for name in ("scaling_max_freq", "cpuinfo_max_freq"))
    if not allowed or not highest:
        return ok("speed", "this system does not say")
    said = "the processor may run at {} of {} MHz".format(int(allowed) // 1000, int(highest) // 1000)
    if int(allowed) < int(highest):
        return hint("speed", said, "on a Jetson: `sudo nvpmodel -m 0`, with a supply that is strong enough")
    return ok("speed", said)


def ports(place: Place) -> Finding:
    """Where this board takes connections from the network. edgewise itself opens none."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in (read(place.at("proc/net", name)) or "").split("\n")[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTENING:
                address, port = fields[1].rsplit(":", 1)
                if not _is_loopback(address):
                    found.add(int(port, 16))
    return ok("ports", "open to the network: {}".format(", ".join(map(str, sorted(found))) or "none"))


def _is_loopback(address: str) -> bool:
    """An address of /proc/net/tcp: hex digits, each group of eight in this processor's (little-endian) order."""
    return address.endswith("7F") or address == "0" * 24 + "01000000"
