"""The error tree of the whole house: whose fault it is, and what to do next.

    HeadwaterError(message, hint, reason)
    ├─ UserError            fix the repository or the request: `Stalled` until the next revision; exit 1, HTTP 4xx
    │   ├─ FlowInvalid          carries every `Problem` of a file
    │   ├─ ExpressionError      a template cannot be parsed or rendered
    │   ├─ InputInvalid         the inputs of an execution do not fit its flow
    │   ├─ NotFound             there is no such flow, execution, revision, file
    │   └─ NotPermitted         policy or state forbids it
    ├─ OperatorError        fix the installation: refuse to start; exit 1, HTTP 500
    │   ├─ SettingsError · PluginError · CredentialError
    ├─ UnavailableError     wait and try again (`retry_after`, seconds); exit 1, HTTP 503
    ├─ StoreConflict        somebody was faster: reload and step again; never shown
    └─ Bug                  ours: quarantine that execution alone; exit 3, HTTP 500
        ├─ IllegalTransition    an event that the machine's table does not allow
        └─ ContractViolation    a driver broke its protocol

A failing task is a value, not an exception. This module imports nothing of ours and must not know of any driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.model.problem import Problem


class HeadwaterError(Exception):
    """Root of every error we raise on purpose.

    Args:
        message: what is wrong, and where; one sentence, no trailing period needed.
        hint: the one next step, or empty.
        reason: CamelCase constant shared by conditions, logs, API and docs; defaults to the class name.
    """

    exit_code = 1
    http_status = 500

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason or type(self).__name__

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UserError(HeadwaterError):
    """The repository or the request is wrong."""

    http_status = 400


class FlowInvalid(UserError):
    """A flow file is refused; `problems` holds all that is wrong with it, in file order."""

    http_status = 422

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ExpressionError(UserError):
    """A template cannot be parsed or rendered."""

    http_status = 422


class InputInvalid(UserError):
    """An execution's inputs do not fit what its flow declares."""

    http_status = 422


class NotFound(UserError):
    """There is no such thing."""

    http_status = 404


class NotPermitted(UserError):
    """Policy, or the state of the thing, forbids it."""

    http_status = 409


class OperatorError(HeadwaterError):
    """The installation is wrong; the operator has to act."""


class SettingsError(OperatorError):
    """A setting is missing or does not make sense."""


class PluginError(OperatorError):
    """A plugin cannot be loaded, or two claim one name."""


class CredentialError(OperatorError):
    """A credential is missing, refused or expired."""


class UnavailableError(HeadwaterError):
    """Something outside does not answer now.

    Args:
        retry_after: seconds to wait before the next try, when the other side said so.
    """

    http_status = 503

    def __init__(
        self, message: str, *, hint: str = "", reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.retry_after = retry_after


class StoreConflict(HeadwaterError):
    """Somebody else wrote first; reload and step again."""


class Bug(HeadwaterError):
    """Our own mistake; the execution it happened in is quarantined, the rest goes on."""

    exit_code = 3


class IllegalTransition(Bug):
    """The machine's table does not allow this move."""


class ContractViolation(Bug):
    """A driver broke the protocol of its port."""
