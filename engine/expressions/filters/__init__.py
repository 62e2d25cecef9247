"""The filters of the dialect (section 5.3), by what they work on. Importing this package registers them."""

from engine.expressions.filters import collections, dates, encoding, jq, numbers, patterns, strings, yaml

__all__ = ["collections", "dates", "encoding", "jq", "numbers", "patterns", "strings", "yaml"]
