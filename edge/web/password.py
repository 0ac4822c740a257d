"""What the page keeps secret, in files that only their owner's group may read: a password's slow hash, and a token."""

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from typing import Any, Callable, Dict, Optional

from edge.contract.errors import BoardError, UsageError
from edge.contract.files import write_whole

PASSWORD, TOKEN = SECRETS = "page-password", "metrics-token"  # the files' names in personal/
FEWEST_CHARACTERS = 8
_MODE = 0o640  # the service, whose user is another, is in the owner's group
# scrypt's cost as OWASP's password storage sheet has it for 16 MB; a board takes some tenths of a second for it.
_N, _R, _P = 1 << 14, 8, 5
_ROUNDS = 600000  # of PBKDF2-SHA256, where Python's OpenSSL has no scrypt


def make_hash(password: str, random: Callable[[int], bytes] = os.urandom) -> Dict[str, Any]:
    """What is kept of a password. Raises UsageError for a short one."""
    if len(password) < FEWEST_CHARACTERS:
        raise UsageError(
            "a password of {} characters".format(len(password)),
            "at least {}".format(FEWEST_CHARACTERS),
            "choose a longer one",
        )
    salt = random(16)
    if hasattr(hashlib, "scrypt"):
        kept = {"scheme": "scrypt", "salt": salt.hex(), "n": _N, "r": _R, "p": _P}
    else:
        kept = {"scheme": "pbkdf2", "salt": salt.hex(), "rounds": _ROUNDS}
    return dict(kept, hash=_digest(password, kept).hex())


def is_password(password: str, kept: Dict[str, Any]) -> bool:
    """Whether `kept` was made of this password. Takes as long for a wrong one."""
    return hmac.compare_digest(_digest(password, kept).hex(), kept["hash"])


def save_password(path: str, kept: Dict[str, Any]) -> None:
    write_whole(path, (json.dumps(kept) + "\n").encode("ascii"), mode=_MODE)


def load_password(path: str) -> Optional[Dict[str, Any]]:
    """What save_password wrote, or None. Raises BoardError for a file that others may read or that is malformed."""
    content = _read_private(path)
    if content is None:
        return None
    try:
        kept = json.loads(content.decode("ascii"))
        _digest("", kept)
        bytes.fromhex(kept["hash"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BoardError(
            "{} is no password file".format(path), "what `run --web` wrote", "remove it, and set a password anew"
        ) from None
    return kept


def scraper_token(path: str) -> str:
    """The token by which a program may read the metrics, kept as it is, since that program needs it; made once.

    It is too long to be guessed, so unlike a password it needs no slow hash, which each of its requests would pay for.
    Raises BoardError as load_password().
    """
    content = _read_private(path)
    if content is None:
        write_whole(path, (secrets.token_urlsafe(32) + "\n").encode("ascii"), mode=_MODE)
        content = _read_private(path)
    token = content.decode("ascii", "replace").strip() if content else ""
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", token):
        raise BoardError(
            "{} holds no token".format(path), "what `run --web --metrics` wrote", "remove it, and a new one is made"
        )
    return token


def _read_private(path: str) -> Optional[bytes]:
    """The file's content, None if there is none. Raises BoardError for one that others may read."""
    try:
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o027:
                raise BoardError(
                    "others may read or change {}".format(path), "mode 0640 or 0600", "chmod 600 {}".format(path)
                )
            return file.read(4096)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BoardError("{}: {}".format(path, error.strerror), "a readable file", "check its owner") from None


def known_password(path: str, ask: Callable[[str], Optional[str]]) -> Dict[str, Any]:
    """What load_password gives; where there is none, what a person types twice is kept.

    ask: gives what is typed after a question, or None where nobody is asked: then it raises UsageError.
    """
    kept = load_password(path)
    if kept is None:
        password = ask("A new password for the page, which others in the network can reach: ")
        if password is None:
            raise UsageError(
                "no password is set for the page, and others in the network could reach it",
                "one",
                "start `run --web` once in a terminal, which asks for it; or leave ADDRESS out, for this machine only",
            )
        kept = make_hash(password)
        if ask("The same again: ") != password:
            raise UsageError("two different passwords", "the same twice", "start again")
        save_password(path, kept)
    return kept


def _digest(password: str, kept: Dict[str, Any]) -> bytes:
    secret, salt = password.encode("utf-8", "surrogatepass"), bytes.fromhex(kept["salt"])
    if kept["scheme"] == "pbkdf2":
        return hashlib.pbkdf2_hmac("sha256", secret, salt, kept["rounds"])
    if kept["scheme"] != "scrypt":
        raise ValueError(kept["scheme"])
    return hashlib.scrypt(secret, salt=salt, n=kept["n"], r=kept["r"], p=kept["p"], maxmem=64 << 20)
