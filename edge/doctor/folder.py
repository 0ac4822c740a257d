"""The board's folder: whose it is, what it trusts, what runs, and whether the service does."""

import base64
import binascii
import hashlib
import json
import os
import re
import stat
from typing import List

from edge.doctor.finding import Finding, Place, hint, ok, read, run, wrong

_KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")  # of an Ed25519 SubjectPublicKeyInfo, RFC 8410; 32 bytes follow
_SERVICE = "edgewise.service"


def permissions(place: Place) -> Finding:
    if not os.path.isdir(place.root):
        return ok("folder", "{} is not there yet: flash makes it".format(place.root))
    if not os.access(place.root, os.W_OK | os.X_OK):
        return wrong("folder", "this user may not write {}".format(place.root), "log in as its owner, or chown it")
    for folder, _, names in os.walk(place.root):
        for name in [""] + names:
            path = os.path.join(folder, name) if name else folder
            mode = os.lstat(path).st_mode
            if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
                remedy = "run `chmod -R o-w {}`".format(place.root)
                return wrong("folder", "everybody may change {}".format(path), remedy)
    return ok("folder", place.root)


def trust(place: Place) -> Finding:
    """Whether each key is the one that its name says, and none is a private one."""
    folder = place.board("trust")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    keys = [name for name in names if name.endswith(".pub")]
    private = [name for name in names if "PRIVATE KEY" in (read(os.path.join(folder, name)) or "")]
    if private:
        return wrong("trust", "{} is a private key".format(private[0]), "remove it here: it belongs on the desk only")
    odd = [name for name in keys if _key_id(os.path.join(folder, name)) + ".pub" != name]
    if odd:
        return wrong("trust", "{} is not the key that its name says".format(odd[0]), "remove it and find out why")
    if keys:
        return ok("trust", "releases signed by {}".format(", ".join(name[:-4] for name in keys)))
    if os.path.islink(place.board("current")):
        return wrong("trust", "no key, so no release can be installed", "put the desk's NAME.pub there as KEYID.pub")
    return ok("trust", "no key yet: the first flash brings one")


def _key_id(path: str) -> str:
    lines = (read(path) or "").split("\n")
    try:
        data = base64.b64decode("".join(line for line in lines if not line.startswith("---")), validate=True)
    except binascii.Error:
        return ""
    if len(data) != len(_KEY_PREFIX) + 32 or not data.startswith(_KEY_PREFIX):
        return ""
    return hashlib.sha256(data[-32:]).hexdigest()[:16]


def release(place: Place) -> Finding:
    link = place.board("current")
    if not os.path.lexists(link):
        return ok("release", "none is installed")
    name = os.path.basename(os.readlink(link)) if os.path.islink(link) else link
    try:
        entry = json.loads(read(place.board("state.json")) or "")["releases"][name]["state"]
    except (ValueError, KeyError, TypeError):
        entry = "not in state.json"
    if entry != "GOOD" or not os.path.isfile(os.path.join(link, "manifest.json")):
        return wrong("release", "{} is {}".format(name, entry), "run `edgewise status`, which puts it right")
    return ok("release", name)


def service() -> List[Finding]:
    """Nothing where there is no systemd."""
    shown = run("systemctl", "show", _SERVICE, "--property", "LoadState,ActiveState,NRestarts,StatusText", seconds=20)
    fields = dict(re.findall(r"^(\w+)=(.*)$", shown.out, re.MULTILINE))
    if shown.code != 0 or not fields:
        return []
    if fields.get("LoadState") == "not-found":
        return [ok("service", "none is installed")]
    said = "{}, {} restarts; {}".format(
        fields.get("ActiveState"), fields.get("NRestarts", "?"), fields.get("StatusText") or "it has said nothing yet"
    )
    if fields.get("ActiveState") != "active":
        return [wrong("service", said, "read `edgewise logs`")]
    if fields.get("StatusText", "").startswith("waiting"):
        return [hint("service", said, "see to its camera")]
    return [ok("service", said)]
