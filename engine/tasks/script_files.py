"""The files of a script task: what is laid into its working directory, and what its text refers to.

Knows how a task names files (dialect, section 2.5); reads them through the task's context only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from engine.errors import UserError
from engine.model.base import Document
from engine.model.input_values import as_text
from engine.model.task import Context

Files = dict[str, str | bytes]

_STORED = re.compile(r"(?:kestra|headwater)://[^\s'\"`,;<>|)\]}\\]+")
_NAMESPACE = ("nsfile://", "file://")
_FOLDER = ".headwater"


class NamespaceFiles(Document):
    """Which files of the namespace a task gets."""

    enabled: bool = True
    include: Any = None
    exclude: Any = None
    namespaces: Any = None
    if_exists: Literal["OVERWRITE", "FAIL", "WARN", "IGNORE"] = "OVERWRITE"
    folder_per_namespace: bool = False


def safe_path(name: str) -> str:
    """A relative path inside the working directory. Raises UserError for one that would leave it."""
    path = PurePosixPath(name)
    if not name or "\x00" in name or path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(
            f"`{name[:200]}` is no path inside the working directory", hint="give a relative path"
        )
    return str(path)


def input_files(given: Any, context: Context) -> Files:
    """The files of `inputFiles`: text, or the URI of a stored file, by relative path."""
    found: Files = {}
    for name, value in mapping(given, "inputFiles", context).items():
        path = safe_path(str(name))
        if value is None:
            raise UserError(f"input file `{path}` is null", hint="give its text or the URI of a file")
        text = as_text(value)
        if _STORED.fullmatch(text.strip()):
            found[path] = context.local_path(text.strip())
        elif text.startswith(_NAMESPACE) and "\n" not in text:
            found[path] = context.read_file(text.strip())
        else:
            found[path] = text.encode()
    return found


def namespace_files(wanted: NamespaceFiles | None, taken: Files, context: Context) -> Files:
    """The namespace's files that the task wants, besides the files it has already."""
    if wanted is None or not wanted.enabled:
        return {}
    include, exclude = _names(wanted.include, context), _names(wanted.exclude, context)
    found: Files = {}
    for namespace in _names(wanted.namespaces, context) or [context.namespace]:
        for name, content in context.namespace_files(namespace).items():
            chosen = not include or any(fits(name, glob) for glob in include)
            if not chosen or any(fits(name, glob) for glob in exclude):
                continue
            path = safe_path(f"{namespace}/{name}" if wanted.folder_per_namespace else name)
            if path not in {**taken, **found} or _replaces(path, namespace, wanted, context):
                found[path] = content
    return found


def _replaces(path: str, namespace: str, wanted: NamespaceFiles, context: Context) -> bool:
    """Whether a namespace file takes the place of one that is there already. Raises UserError for `FAIL`."""
    text = f"the file `{path}` of the namespace {namespace}"
    if wanted.if_exists == "FAIL":
        raise UserError(f"{text} is there already", hint="leave one of them out, or set `ifExists`")
    if wanted.if_exists == "WARN":
        context.log("WARN", f"{text} is left out: there is one already")
    return wanted.if_exists == "OVERWRITE"


def localized(text: str, files: Files, context: Context) -> str:
    """The text with the URIs of stored files replaced by paths in the working directory; adds to `files`."""

    def path(match: re.Match[str]) -> str:
        uri = match.group().rstrip(".:!?")
        digest = hashlib.blake2b(uri.encode(), digest_size=6).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]", "_", uri.rsplit("/", 1)[-1]) or "file"
        place = f"{_FOLDER}/{digest}/{name}"
        files[place] = context.local_path(uri)
        return place + match.group()[len(uri) :]

    return _STORED.sub(path, text) if "://" in text else text


def is_ours(path: str) -> bool:
    """Whether a file in the working directory was laid there by us, and is no output."""
    return path.startswith(_FOLDER + "/")


def mapping(given: Any, word: str, context: Context) -> Mapping[str, Any]:
    """A property that is a map, or text that renders to one. Raises UserError."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {context.render(str(name)): context.value(value) for name, value in given.items()}
    found = context.value(given)
    if isinstance(found, str):
        try:
            found = json.loads(found) if found.strip() else {}
        except ValueError:
            found = None
    if not isinstance(found, Mapping):
        raise UserError(f"`{word}` is no map", hint="give a map, or text that renders to one")
    return found


def fits(path: str, pattern: str) -> bool:
    """Whether a relative path fits a glob; `**` crosses folders, a glob without `/` fits at any depth."""
    glob = pattern.removeprefix("glob:").lstrip("/")
    target = path if "/" in glob else path.rsplit("/", 1)[-1]
    return re.fullmatch(_regex(glob), target) is not None


def _regex(glob: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    table = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(table.get(part) or re.escape(part) for part in parts)


def _names(given: Any, context: Context) -> list[str]:
    found = context.value(given) if given is not None else []
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list):
        raise UserError("`namespaceFiles` wants lists of text")
    return [str(each) for each in found]
