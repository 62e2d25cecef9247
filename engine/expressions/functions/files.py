"""The URIs of namespace files: `kestra:///` and the namespace as a path, `_files`, the file's path (dialect, 6.2).

Text only: whether there is such a file, and at which commit, is not asked here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from engine.errors import ExpressionError
from engine.expressions.registry import function_named
from engine.expressions.scope import Frame
from engine.expressions.values import kind

_SCHEMES = ("kestra:///", "headwater:///")
_FOLDER = "/_files/"


def namespace_file(uri: str) -> tuple[str, str] | None:
    """The namespace and the path that a URI of a namespace file names; none for another URI."""
    for scheme in _SCHEMES:
        place, found, path = uri.removeprefix(scheme).partition(_FOLDER)
        if uri.startswith(scheme) and found and place and path:
            return place.replace("/", "."), posixpath.normpath("/" + unquote(path)).lstrip("/")
    return None


@function_named("fileURI", takes=("path",), required=1, context=True)
def _file_uri(frame: Frame, path: Any) -> str:
    flow = frame.variables.get("flow")
    namespace = flow.get("namespace") if isinstance(flow, Mapping) else None
    if not isinstance(namespace, str):
        raise ExpressionError("`fileURI` needs the namespace of a flow, and there is none here")
    if not isinstance(path, str) or not path.strip("/"):
        raise ExpressionError(f"`fileURI` needs the path of a namespace file, but got {kind(path)}")
    name = posixpath.normpath("/" + path).lstrip("/")
    return f"{_SCHEMES[0]}{namespace.replace('.', '/')}{_FOLDER}{quote(name)}"
