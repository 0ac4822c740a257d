"""Where frames come from: cameras, streams, films, folders of pictures and a test pattern, all read in the same way."""

from edge.sources.naming import Feed, find_feed, open_source
from edge.sources.source import Frame, Source, monotonic_ns

__all__ = ["Feed", "Frame", "Source", "find_feed", "monotonic_ns", "open_source"]
