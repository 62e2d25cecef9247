"""The filter `jq`. Programs come from flows, so they get no environment, no modules and a bounded time.

Most programs only walk through small data and run in place. One that could run on for ever (recursion, generators,
string repetition, regular expressions, products of iterations over large data) runs in a process of its own that can
be ended; a library call cannot.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import lru_cache
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.registry import filter_named
from engine.expressions.values import to_json

_PREFIX: Final = "def env: {}; def input_filename: null; def get_search_list: []; {} as $ENV | "
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD: Final = re.compile(r"(?<![.$\w])[A-Za-z_]\w*")
_LINEAR: Final = re.compile(
    """
    abs | add | all | and | any | arrays | ascii_downcase | ascii_upcase | booleans | catch | ceil |
    contains | del | elif | else | empty | end | endswith | error | explode | false | first | flatten |
    floor | from_entries | fromjson | group_by | has | if | implode | in | index | indices | inside |
    isvalid | iterables | join | keys | keys_unsorted | last | length | ltrimstr | map | map_values |
    max | max_by | min | min_by | not | null | nulls | numbers | objects | or | path | paths | rindex |
    round | rtrimstr | scalars | select | sort | sort_by | startswith | strings | then | to_entries |
    tojson | tonumber | tostring | true | try | type | unique | unique_by | values | with_entries
    """,
    re.VERBOSE,
)
_STEPS: Final = 2_000_000
_PROGRAM_CHARS: Final = 10_000
_CHILD: Final = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
sys.path[:] = json.loads(sys.argv[1])
import jq
request = json.load(sys.stdin)
results = []
for result in jq.compile(request["program"]).input_text(request["data"]):
    results.append(result)
    if len(results) > request["most"]:
        sys.exit(3)
json.dump(results, sys.stdout)
"""


@lru_cache(maxsize=256)
def _compiled(program: str) -> Any:
    import jq

    return jq.compile(_PREFIX + program)


def _is_quick(program: str, data: str) -> bool:
    """Whether the steps of a program are bounded by a small power of the size of its data."""
    bare = _STRING.sub('""', program)
    if "\\(" in program or "*" in bare or ".." in bare or "#" in bare or "@" in bare:
        return False
    if not all(map(_LINEAR.fullmatch, _WORD.findall(bare))):
        return False
    branches = bare.count("[]") + bare.count(",") + len(re.findall(r"\b(?:map|any|all|paths|path)\b", bare))
    return (len(data) + 1) ** max(1, branches) <= _STEPS or (branches <= 1 and len(data) <= _STEPS)


def _apart(program: str, data: str) -> list[Any]:
    request = json.dumps({"program": _PREFIX + program, "data": data, "most": limits.ITEMS})
    command = [sys.executable, "-I", "-c", _CHILD, json.dumps(sys.path)]
    try:
        done = subprocess.run(
            command,
            input=request,
            capture_output=True,
            text=True,
            timeout=limits.SECONDS,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExpressionError(f"The jq program ran longer than {limits.SECONDS:g} s") from None
    if done.returncode == 1:
        raise ValueError(done.stderr.strip().rsplit("\n", 1)[-1])
    if done.returncode:
        raise ExpressionError("The jq program used too much time or memory", hint="let it do less")
    results: list[Any] = json.loads(done.stdout)
    return results


@filter_named("jq", takes=("expression",), required=1)
def _jq(value: Any, expression: Any) -> Any:
    if value is None:
        return None
    if not isinstance(expression, str) or len(expression) > _PROGRAM_CHARS:
        raise ExpressionError("`jq` needs a program as text")
    data = value if isinstance(value, str) else to_json(value)
    try:
        if not _is_quick(expression, data):
            return _apart(expression, data)
        results = _compiled(expression).input_text(data).all()
    except ValueError as error:
        reason = str(error).removeprefix("ValueError: ").split("\n")[0][:200]
        raise ExpressionError(f"Unable to run the jq program `{expression[:100]}`: {reason}") from None
    limits.check_items(len(results))
    return results
