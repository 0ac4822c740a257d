"""What a picture's file says of itself: whether it was cut short, and how it is to be turned.

OpenCV reads a JPEG that was cut short without a word, and fills the rest with grey.
"""

import io

from PIL import ExifTags, Image, UnidentifiedImageError

_UPRIGHT = 1


def why_broken(content: bytes) -> str:
    """What is wrong with a picture's file, in a few words; empty if it is whole."""
    if not content:
        return "it is empty"
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except UnidentifiedImageError:
        return "it is no picture"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return " ".join(str(error).split()) or "it cannot be decoded"
    return ""


def turned_by_exif(content: bytes) -> bool:
    """Whether the file holds the picture on its side and an EXIF tag to set it upright, which OpenCV heeds."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return int(picture.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)) != _UPRIGHT
    except (OSError, SyntaxError, ValueError):
        return False
