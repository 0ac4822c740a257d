"""An RTSP server for the bench and the tests: /usr/bin/python3 rtsp_server.py PORT WIDTHxHEIGHT RATE [USER PASSWORD]

Debian's gst-rtsp-server by python3-gi (packages python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and
-ugly): a moving ball in H.264 at rtsp://127.0.0.1:PORT/live. Prints a line when it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_LAUNCH = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={},height={},framerate={}/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={} ! rtph264pay name=pay0 pt=96 )"
)


def main(port: str, size: str, rate: str, user: str = "", password: str = "") -> None:
    Gst.init(None)
    width, height = size.split("x")
    server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory(launch=_LAUNCH.format(width, height, rate, rate), shared=True)
    if user:
        protect(server, factory, user, password)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def protect(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    """Only `user` with `password` may look."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    role = Gst.Structure.new_empty("viewer")
    role.set_value("media.factory.access", True)
    role.set_value("media.factory.construct", True)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role_from_structure(role)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main(*sys.argv[1:])
