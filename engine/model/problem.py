"""What is wrong with a file, and where: the one shape in which every room reports it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with one place of one file.

    Args:
        path: the file, as the repository names it.
        line, column: counted from 1; 0 when the place is the whole file.
        property: dotted path inside the document, such as `tasks[0].message`; empty for the whole file.
        message: what is wrong and, where there is one, the next step.
        severity: an `error` refuses the file, a `warning` does not.
    """

    path: str
    line: int
    column: int
    property: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        where = f" {self.property}:" if self.property else ""
        return f"{place}:{where} {self.message}"
