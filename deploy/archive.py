"""Makes a release archive: the strict zip profile that edge.contract.archive reads."""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterable

from edge.contract.archive import MANIFEST, SIGNATURE
from edge.contract.errors import FormatError

# The signed zip has no zip64 extensions, which begin at 2 GiB; some room for names and directory.
MAX_CONTENT_BYTES = (1 << 31) - (1 << 22)
# A board inflates at the speed of a network: what shrinks by less than a sixth, as INT8 weights do, is not worth it.
_WORTH_DEFLATING = 5 / 6
_FIRST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # so that the same release always gives the same bytes


def archive_bytes(
    manifest_data: bytes, signature: bytes, contents: Iterable[tuple[str, int, Iterable[bytes]]]
) -> bytes:
    """Manifest and signature first, then `contents`: (name, size in bytes, content). Raises FormatError past 2 GiB."""
    total_bytes = 0
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
        for name, data in ((MANIFEST, manifest_data), (SIGNATURE, signature)):
            archive.writestr(_entry(name, data), data)
        for name, size_bytes, pieces in contents:
            total_bytes += size_bytes
            if total_bytes > MAX_CONTENT_BYTES:
                raise FormatError(
                    f"a release of more than {MAX_CONTENT_BYTES} bytes", "less", "choose a smaller network"
                )
            held = list(pieces) or [b""]
            with archive.open(_entry(name, held[len(held) // 2]), "w") as entry:
                for piece in held:
                    entry.write(piece)
    return file.getvalue()


def _entry(name: str, sample: bytes) -> zipfile.ZipInfo:
    """The entry of a file, deflated or not by what a `sample` gains: its middle, since a network starts with text."""
    entry = zipfile.ZipInfo(name, _FIRST_ZIP_TIME)
    shrinks = len(zlib.compress(sample)) < _WORTH_DEFLATING * len(sample)
    entry.compress_type = zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry
