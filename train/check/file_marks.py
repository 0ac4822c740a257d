"""What a picture's file says of itself: whether it was cut short, and how it is to be turned.

OpenCV reads a JPEG that was cut short without a word, and fills the rest with grey.
"""

import io
from typing import NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

_UPRIGHT = 1


class FileMarks(NamedTuple):
    broken: str  # what is wrong with it, in a few words; empty if it is whole
    turned: bool  # it holds the picture on its side and an EXIF tag to set it upright, which OpenCV heeds


def read_marks(content: bytes) -> FileMarks:
    """content: of a picture's file."""
    if not content:
        return FileMarks("it is empty", False)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            return FileMarks("", _is_turned(picture))
    except UnidentifiedImageError:
        return FileMarks("it is no picture", False)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return FileMarks(" ".join(str(error).split()) or "it cannot be decoded", False)


def _is_turned(picture: Image.Image) -> bool:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)) != _UPRIGHT
    except (OSError, SyntaxError, ValueError):  # a tag that nobody can read turns nothing
        return False
