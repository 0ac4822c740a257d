"""A real OpenSSH server on loopback with keys, configuration and home of its own, and a link to it that can be cut."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


def ssh_keygen(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)  # noqa: S607
    return path.with_suffix(".pub").read_text()


class Link:
    """Passes bytes between ssh and sshd, counts what goes to the board, and cuts both ends at `cut_after` of them.

    silently: as a cable that is pulled does it. Nothing ends, and nothing comes through any more.
    """

    def __init__(self, to_port: int) -> None:
        self.to_port, self.sent, self.cut_after = to_port, 0, 0  # 0: never
        self._silently = self._pulled = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after: int, silently: bool = False) -> None:
        self.sent, self.cut_after, self._silently, self._pulled = 0, after, silently, False

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to_port))
            for source, sink, counted in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pass, args=(source, sink, counted), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 14):
                if self._pulled:
                    continue
                if counted:
                    if self.cut_after and self.sent + len(data) >= self.cut_after:
                        sink.sendall(data[: self.cut_after - self.sent])
                        self._pulled = self._silently
                        if self._pulled:
                            continue
                        break
                    self.sent += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if not counted:
                end.close()


class SshBoard:
    """The server, and an `ssh` in `bin` that reads the test's configuration and nothing of this machine's user."""

    def __init__(
        self, folder: Path, python: str, inside: Callable[..., list[str]] = lambda *words: list(words)
    ) -> None:
        """inside: makes of a command the one that runs it elsewhere, such as beside another systemd."""
        self._inside = inside
        self.folder, self.home = folder, folder / "home"
        self.bin, self.board_bin = folder / "bin", folder / "board-bin"
        for made in (folder, self.home, self.bin, self.board_bin):
            made.mkdir()
        self.root = self.home / "edgewise-board"
        self.pid_file = folder / "courier.pid"
        self.script(self.board_bin / "python3", f'echo $$ > "{self.pid_file}"; exec "{python}" "$@"')
        ssh_keygen(folder / "client")
        self.host_key = ssh_keygen(folder / "host")
        (folder / "authorized_keys").write_text((folder / "client.pub").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.server_port = int(free.getsockname()[1])
        self.link = Link(self.server_port)
        self.target = f"127.0.0.1:{self.link.port}"  # through the link
        self.direct = f"127.0.0.1:{self.server_port}"
        self.known_hosts = folder / "known_hosts"
        self.know(self.host_key)
        self.configure()
        self.script(self.bin / "ssh", f'exec "{shutil.which("ssh")}" -F "{folder}/config" "$@"')
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    def configure(self, *more: str) -> None:
        lines = [
            f"IdentityFile {self.folder}/client", "IdentitiesOnly yes", "IdentityAgent none",
            f"UserKnownHostsFile {self.known_hosts}", "GlobalKnownHostsFile /dev/null",
            "KexAlgorithms curve25519-sha256", *more,
        ]  # fmt: skip
        (self.folder / "config").write_text("".join(line + "\n" for line in lines))

    def know(self, host_key: str) -> None:
        ports = (self.link.port, self.server_port)
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{p} {' '.join(host_key.split()[:2])}\n" for p in ports))

    def script(self, path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of Debian wants to give up its rights
        lines = [
            f"ListenAddress 127.0.0.1:{self.server_port}", f"HostKey {self.folder}/host", "PidFile none", "UsePAM no",
            f"AuthorizedKeysFile {self.folder}/authorized_keys", "StrictModes no", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "PermitRootLogin yes", "MaxStartups 100",
            "Subsystem sftp internal-sftp",  # for scp
            f'SetEnv "PATH={self.board_bin}:/usr/bin:/bin" "HOME={self.home}"',
        ]  # fmt: skip
        config = self.folder / "sshd_config"
        config.write_text("".join(line + "\n" for line in lines))
        log = (self.folder / "sshd.log").open("ab")
        self._server = subprocess.Popen(self._inside(str(SSHD), "-D", "-e", "-f", str(config)), stderr=log)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.server_port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
            self._server = None

    def close(self) -> None:
        self.stop()
        self.link.close()

    def wait_until_alone(self) -> None:
        """Until the board's process that was started last has seen that its link is lost, and has ended."""
        for _ in range(600):
            if not Path(f"/proc/{self.courier_pid()}/stat").exists():
                return
            time.sleep(0.05)
        raise RuntimeError("the board's process does not end")

    def server_pid(self) -> int:
        """Raises RuntimeError where it was stopped."""
        if self._server is None:
            raise RuntimeError("no server runs")
        return self._server.pid

    def courier_pid(self) -> int:
        """Of the board's process that was started last; 0 while that is being written."""
        return int(self.pid_file.read_text() or 0)
