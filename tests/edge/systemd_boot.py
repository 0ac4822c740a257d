"""A real systemd as process 1 of namespaces of its own, for tests. Needs root.

It knows no unit of this machine, and cannot harm it: but for the test's own folder the disk is read-only in there. That
is tried before systemd starts: a stray unit such as systemd-tmpfiles-setup.service would empty /tmp.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import sysconfig

from service_board import wait_for

SYSTEMD = next((p for p in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.path.exists(p)), None)
_PR_SET_PDEATHSIG = 1
_TURN = "/run/edgewise-test.lock"  # two of them would manage the same control group of this machine
_SPACES = ["--mount", "--pid", "--uts", "--ipc", "--cgroup"]

_BOOT = """
set -e
folder=$1 systemd=$2 base=$3
mount --make-rprivate /
mount -t proc proc /proc
cp -a /etc "$folder/etc"
mount --bind "$folder" "$folder"
mount --bind "$folder/etc" /etc
mount --bind "$base" "$folder/base"
mount -t tmpfs -o mode=755 tmpfs /run
for place in /var/cache /var/log /var/lib/systemd; do mount -t tmpfs -o mode=755 tmpfs "$place"; done
while umount -R /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/sshd
echo "$folder/base/lib" >/etc/ld.so.conf.d/edgewise-test.conf
ldconfig
rm -rf /etc/systemd/system
mkdir /etc/systemd/system
for unit in systemd-journald.service systemd-journald.socket; do
  cp "$(dirname "$systemd")/system/$unit" /etc/systemd/system
done
unit() { printf '[Unit]\\nDefaultDependencies=no\\n' >"/etc/systemd/system/$1"; }
for name in sysinit.target basic.target shutdown.target multi-user.target test.target; do unit "$name"; done
echo Wants=systemd-journald.service >>/etc/systemd/system/test.target
mount -o remount,bind,ro /
if touch /tmp/edgewise-test 2>/dev/null; then echo "the disk is not read-only"; exit 1; fi
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \\
  SYSTEMD_GENERATOR_PATH=/nonexistent "$systemd" --system --unit=test.target --log-target=journal --show-status=0
"""


class Systemd:
    """Use it with `with`. Raises OSError where this machine does not let it start."""

    def __init__(self, folder):
        """folder: all that can be written in there; other users must be able to reach it. Waits for its turn."""
        self._turn = open(_TURN, "w")  # noqa: SIM115  closed by __exit__
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        self.python = _make_python(folder)
        self._said = open(os.path.join(folder, "said"), "w+b")  # noqa: SIM115  closed by __exit__
        libc = ctypes.CDLL(None)
        command = ["unshare"] + _SPACES + ["--fork", "--kill-child", "sh", "-c", _BOOT, "boot"]
        self._unshare = subprocess.Popen(
            command + [folder, SYSTEMD, sys.base_prefix],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # also if pytest is killed
        )

    def __enter__(self):
        try:
            wait_for(lambda: self._unshare.poll() is not None or self._is_up(), 60)
            if self._unshare.poll() is not None:
                self._said.seek(0)
                raise OSError(self._said.read().decode("utf-8", "replace")[-500:])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._unshare.kill()  # and by --kill-child process 1, and with it all others in there
        self._unshare.wait()
        self._said.close()
        self._turn.close()

    def inside(self, *words):
        """The command that runs `words` beside that systemd."""
        with open("/proc/{0}/task/{0}/children".format(self._unshare.pid)) as file:
            first = file.read().split()[0]
        return ["nsenter", "--target", first] + _SPACES + ["--"] + list(words)

    def run(self, *words, **more):
        return subprocess.run(
            self.inside(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, **more
        )  # fmt: skip

    def _is_up(self):
        try:
            return self.run("systemctl", "is-active", "test.target").stdout.strip() == "active"
        except (OSError, IndexError):
            return False


def _make_python(folder):
    """This Python and its packages, outside of any home, which the service may not see. `base` is mounted later."""
    version = "python{}.{}".format(*sys.version_info)
    packages = os.path.join(folder, "python", "lib", version)
    for made in (os.path.join(folder, "base"), os.path.join(folder, "python", "bin"), packages):
        os.makedirs(made)
    with open(os.path.join(folder, "python", "pyvenv.cfg"), "w") as file:
        file.write("home = {}/base/bin\n".format(folder))
    os.symlink(sysconfig.get_paths()["purelib"], os.path.join(packages, "site-packages"))
    python = os.path.join(folder, "python", "bin", "python3")
    os.symlink(os.path.join(folder, "base", "bin", version), python)
    return python
