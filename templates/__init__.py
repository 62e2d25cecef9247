"""One file per artefact that people read, and the small loader that fills it in.

SVG and HTML templates escape every value by themselves; a Markdown template passes each value that it did
not make through the `md` filter. Templates are sandboxed and a name they do not know is an error. Imports
nothing of ours.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from templates.markdown import escape


def render(name: str, /, **values: object) -> str:
    """Fill in a template.

    Args:
        name: the file's name in this folder, such as `badge.svg.jinja`.
        values: what the template names; a missing one raises `jinja2.UndefinedError`.
    """
    return _environment().get_template(name).render(values)


@cache
def static(name: str) -> bytes:
    """A file that pages load as it is. The name comes from us, never from a request."""
    return (Path(__file__).parent / "static" / name).read_bytes()


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=_is_markup,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape
    return environment


def _is_markup(name: str | None) -> bool:
    return name is None or not name.removesuffix(".jinja").endswith((".md", ".txt"))
