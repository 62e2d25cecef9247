"""What is said of a flow file that is wrong: place, property, and words, all problems at once."""

from __future__ import annotations

import pytest

from engine.errors import FlowInvalid
from engine.plugins import registry
from engine.spec.compile import check_flow, compile_flow
from tests.support.flow_files import HEAD, PATH, TASK, said

LOG = "{id: %s, type: core.log.Log, message: x}"

CASES = {
    "empty": ("", ["1:1: the file is empty; it begins with `id`, `namespace`, `tasks`"]),
    "a list": ("- a\n", ["1:1: a flow is a map of properties; it begins with `id`, `namespace`, `tasks`"]),
    "nothing required": (
        "description: x\n",
        [
            "1:1 id: `id` is required",
            "1:1 namespace: `namespace` is required",
            "1:1 tasks: `tasks` is required",
        ],
    ),
    "bad identity": (
        "id: a b\nnamespace: Up\n" + TASK,
        [
            "1:5 id: `a b` does not fit; it must match ^[a-zA-Z0-9][a-zA-Z0-9._-]*$",
            "2:12 namespace: `Up` does not fit; it must match ^[a-z0-9][a-z0-9._-]*$",
        ],
    ),
    "long id": (
        f"id: {'a' * 101}\nnamespace: n\n" + TASK,
        [f"1:5 id: string should have at most 100 characters, got `{'a' * 79}…`"],
    ),
    "no tasks": (HEAD + "tasks: []\n", ["3:8 tasks: must not be empty"]),
    "tasks as map": (HEAD + "tasks: {a: b}\n", ["3:8 tasks: expected a list, got a map"]),
    "unknown type": (
        HEAD + "tasks:\n  - id: t\n    type: core.log.Lgo\n",
        ["5:11 tasks[0].type: unknown type `core.log.Lgo`; did you mean `core.log.Log`?"],
    ),
    "a type that is gone": (
        HEAD
        + "tasks:\n  - id: t\n    type: io.kestra.core.tasks.flows.Template\n    namespace: n\n    templateId: x\n",
        [
            "5:11 tasks[0].type: `io.kestra.core.tasks.flows.Template` cannot run: templates are gone; "
            "make its tasks a flow of its own and call that with `core.flow.Subflow`"
        ],
    ),
    "unknown type, long": (
        HEAD + "tasks:\n  - id: t\n    type: io.kestra.plugin.core.flow.Paralel\n",
        [
            "5:11 tasks[0].type: unknown type `io.kestra.plugin.core.flow.Paralel`; "
            "did you mean `io.kestra.plugin.core.flow.Parallel`?"
        ],
    ),
    "no type": (HEAD + "tasks:\n  - id: t\n", ["4:5 tasks[0]: this task has no `type`"]),
    "a task that is text": (HEAD + "tasks:\n  - t\n", ["4:5 tasks[0]: a task is a map of properties"]),
    "unknown property of the flow": (
        HEAD + "taks: 1\n" + TASK,
        ["3:1 taks: unknown property `taks`; did you mean `tasks`?"],
    ),
    "unknown property of a task": (
        HEAD + "tasks:\n  - id: t\n    type: core.log.Log\n    mesage: x\n    message: y\n",
        ["6:5 tasks[0].mesage: unknown property `mesage`; did you mean `message`?"],
    ),
    "unknown property inside": (
        HEAD + "concurrency: {limit: 1, behaviour: FAIL}\n" + TASK,
        ["3:25 concurrency.behaviour: unknown property `behaviour`; did you mean `behavior`?"],
    ),
    "enum": (
        HEAD + "concurrency: {limit: 0, behavior: QEUE}\n" + TASK,
        [
            "3:22 concurrency.limit: input should be greater than 0, got `0`",
            "3:35 concurrency.behavior: `QEUE` is not one of QUEUE, CANCEL, FAIL; did you mean `QUEUE`?",
        ],
    ),
    "duplicate key": (
        "id: a\nid: b\nnamespace: n\n" + TASK,
        ["2:1 id: duplicate key `id`; it is already given in line 1"],
    ),
    "duplicate task ids": (
        HEAD
        + f"tasks:\n  - {LOG % 't'}\n  - id: s\n    type: core.flow.Sequential\n    tasks:\n      - {LOG % 't'}\n",
        ["8:14 tasks[1].tasks[0].id: duplicate task id `t`; rename one of them (the other one is in line 4)"],
    ),
    "duplicate ids across branches": (
        HEAD + f"tasks:\n  - {LOG % 't'}\nerrors:\n  - {LOG % 't'}\nfinally:\n  - {LOG % 't'}\n",
        [
            "6:10 errors[0].id: duplicate task id `t`; rename one of them (the other one is in line 4)",
            "8:10 finally[0].id: duplicate task id `t`; rename one of them (the other one is in line 4)",
        ],
    ),
    "duplicate triggers": (
        HEAD + TASK + "triggers:\n"
        '  - {id: d, type: core.trigger.Schedule, cron: "@daily"}\n'
        "  - {id: d, type: core.trigger.Webhook, key: k}\n",
        ["9:10 triggers[1].id: duplicate trigger id `d`; rename one of them (the other one is in line 8)"],
    ),
    "duplicate inputs and outputs": (
        HEAD + "inputs:\n  - {id: i, type: INT}\n  - {id: i, type: INT}\n"
        "outputs:\n  - {id: o, type: INT, value: 1}\n  - {id: o, type: INT, value: 1}\n" + TASK,
        [
            "5:10 inputs[1].id: duplicate input id `i`; rename one of them (the other one is in line 4)",
            "8:10 outputs[1].id: duplicate output id `o`; rename one of them (the other one is in line 7)",
        ],
    ),
    "dependsOn": (
        HEAD + "inputs:\n"
        "  - {id: a, type: INT, dependsOn: {inputs: [b]}}\n"
        "  - {id: b, type: INT, dependsOn: {inputs: [a]}}\n"
        "  - {id: c, type: INT, dependsOn: {inputs: [c, d]}}\n" + TASK,
        [
            "4:45 inputs[0].dependsOn.inputs[0]: inputs `a` and `b` depend on each other; break the cycle",
            "5:45 inputs[1].dependsOn.inputs[0]: inputs `b` and `a` depend on each other; break the cycle",
            "6:45 inputs[2].dependsOn.inputs[0]: input `c` cannot depend on itself",
            "6:48 inputs[2].dependsOn.inputs[1]: there is no input `d`",
        ],
    ),
    "calls itself": (
        HEAD + "tasks:\n  - {id: t, type: core.flow.Subflow, namespace: n, flowId: a}\n",
        ["4:60 tasks[0].flowId: a flow cannot call itself; call another flow"],
    ),
    "system label": (
        HEAD + "labels:\n  system.x: y\n  fine: z\n" + TASK,
        ["4:13 labels.system.x: labels that start with `system.` belong to the engine; choose another key"],
    ),
    "cron": (
        HEAD + TASK + 'triggers:\n  - id: d\n    type: core.trigger.Schedule\n    cron: "61 * * * *"\n',
        ["10:11 triggers[0].cron: `61 * * * *` is no cron expression: bad minute"],
    ),
    "cron with seconds": (
        HEAD + TASK + 'triggers:\n  - id: d\n    type: core.trigger.Schedule\n    cron: "0 0 * * * *"\n',
        [
            "10:11 triggers[0].cron: `0 0 * * * *` is no cron expression: 6 fields where 5 are needed; "
            "set `withSeconds: true` for six"
        ],
    ),
    "zone": (
        HEAD
        + TASK
        + 'triggers:\n  - {id: d, type: core.trigger.Schedule, cron: "@daily", timezone: Europe/Pari}\n',
        ["8:68 triggers[0].timezone: `Europe/Pari` is no time zone; give a name such as `Europe/Paris`"],
    ),
    "retry": (
        HEAD + "retry: {type: constant, interval: PT5M, maxDuration: PT1M}\n" + TASK,
        ["3:8 retry: interval must be less than maxDuration"],
    ),
    "retry of another type": (
        HEAD + "retry: {type: constnt, interval: PT5M}\n" + TASK,
        ["3:8 retry: `constnt` is not one of constant, exponential, random; did you mean `constant`?"],
    ),
    "duration": (
        HEAD + "retry: {type: constant, interval: 5m}\n" + TASK,
        ["3:35 retry.interval: expected a duration in ISO 8601 such as `PT5M`, got `5m`"],
    ),
    "timeout": (
        HEAD + "tasks:\n  - {id: t, type: core.log.Log, message: x, timeout: 5m}\n",
        ["4:54 tasks[0].timeout: expected a duration in ISO 8601 such as `PT5M`, got `5m`"],
    ),
    "dag": (
        HEAD + "tasks:\n  - id: d\n    type: core.flow.Dag\n    tasks:\n"
        f"      - task: {LOG % 'x'}\n        dependsOn: [y]\n",
        ["8:21 tasks[0].tasks[0].dependsOn[0]: there is no task `y` in this Dag"],
    ),
    "dag cycle": (
        HEAD + "tasks:\n  - id: d\n    type: core.flow.Dag\n    tasks:\n"
        f"      - task: {LOG % 'x'}\n        dependsOn: [y]\n      - task: {LOG % 'y'}\n        dependsOn: [x]\n",
        ["8:21 tasks[0].tasks[0].dependsOn[0]: `x` and `y` depend on each other; break the cycle"],
    ),
    "switch": (
        HEAD + "tasks:\n  - {id: s, type: core.flow.Switch, value: x}\n",
        ["4:5 tasks[0]: a Switch needs `cases` or `defaults`"],
    ),
    "array": (
        HEAD + "inputs:\n  - {id: i, type: ARRAY}\n" + TASK,
        ["4:5 inputs[0].itemType: `itemType` is required"],
    ),
    "input type": (
        HEAD + "inputs:\n  - {id: i, type: STRNG}\n" + TASK,
        ["4:19 inputs[0].type: unknown input type `STRNG`; did you mean `STRING`?"],
    ),
    "extension": (
        HEAD + "inputs:\n  - {id: i, type: FILE, allowedFileExtensions: [csv]}\n" + TASK,
        ["4:49 inputs[0].allowedFileExtensions[0]: `csv` does not fit; it must match ^\\..+"],
    ),
    "prefill": (
        HEAD + "inputs:\n  - {id: i, type: INT, prefill: 1, defaults: 2}\n" + TASK,
        ["4:5 inputs[0]: `prefill` and `defaults` exclude each other; keep one of them"],
    ),
    "validator": (
        HEAD + 'inputs:\n  - {id: i, type: STRING, validator: "(("}\n' + TASK,
        [
            "4:38 inputs[0].validator: `((` is no regular expression: "
            "missing ), unterminated subpattern at position 1"
        ],
    ),
    "time window": (
        HEAD + TASK + "triggers:\n  - id: f\n    type: core.trigger.Flow\n    preconditions:\n      id: p\n"
        "      timeWindow: {type: SLIDING_WINDOW, deadline: 09:00}\n",
        [
            "12:52 triggers[0].preconditions.timeWindow.deadline: "
            "`deadline` does not belong to a SLIDING_WINDOW; remove it"
        ],
    ),
    "webhook with a multiple condition": (
        HEAD + TASK + "triggers:\n  - id: w\n    type: core.trigger.Webhook\n    key: k\n    conditions:\n"
        "      - id: m\n        type: core.condition.MultipleCondition\n        conditions:\n"
        '          x: {type: core.condition.Expression, expression: "{{ true }}"}\n',
        ["12:9 triggers[0].conditions[0]: a webhook cannot wait for several flows; use a Flow trigger"],
    ),
    "many at once": (
        "id: a\nnamespace: n\ninputs:\n  - {id: i, type: NOPE}\ntasks:\n  - id: t\n    type: core.log.Log\n"
        "  - id: t\n    type: core.debug.Return\n    frmat: x\ntriggers:\n  - {id: w, type: core.trigger.Webhook}\n",
        [
            "4:19 inputs[0].type: unknown input type `NOPE`; it is one of STRING, SELECT, ENUM, MULTISELECT, INT, "
            "FLOAT, BOOL, BOOLEAN, DATETIME, DATE, TIME, DURATION, FILE, JSON, YAML, URI, SECRET, ARRAY, EMAIL, FORM",
            "6:5 tasks[0].message: `message` is required",
            "8:9 tasks[1].id: duplicate task id `t`; rename one of them (the other one is in line 6)",
            "10:5 tasks[1].frmat: unknown property `frmat`; did you mean `format`?",
            "12:5 triggers[0].key: `key` is required",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_problem(name: str) -> None:
    text, expected = CASES[name]
    assert said(text) == expected


def test_the_error_carries_the_same_problems_as_the_check() -> None:
    content = b"id: a\n"
    with pytest.raises(FlowInvalid) as caught:
        compile_flow(content, PATH, registry())
    assert caught.value.problems == check_flow(content, PATH, registry()).problems
    assert str(caught.value).startswith("flows/a.yaml:1:1: namespace: `namespace` is required\n")


def test_problems_are_bounded() -> None:
    text = HEAD + "tasks:\n" + "  - nothing\n" * 300
    found = said(text)
    assert len(found) == 101
    assert found[-1] == "0:0: 200 more problems; fix these first"


WARNINGS = {
    "old type": (
        HEAD + "tasks:\n  - {id: t, type: io.kestra.core.tasks.log.Log, message: x}\n",
        [
            "warning 4:19 tasks[0].type: `io.kestra.core.tasks.log.Log` is the old name of "
            "`io.kestra.plugin.core.log.Log`; use that"
        ],
    ),
    "old properties": (
        HEAD + "taskDefaults: []\n" + TASK,
        ["warning 3:1 taskDefaults: `taskDefaults` is outdated; use `pluginDefaults`"],
    ),
    "old input": (
        HEAD + "inputs:\n  - name: i\n    type: BOOLEAN\n" + TASK,
        [
            "warning 4:5 inputs[0].name: `name` is outdated; use `id`",
            "warning 5:11 inputs[0].type: `BOOLEAN` is outdated; use `BOOL`",
        ],
    ),
    "reserved id": (
        "id: search\nnamespace: n\n" + TASK,
        ["warning 1:5 id: `search` is a word of the REST API; choose another id"],
    ),
    "flow trigger for everything": (
        HEAD + TASK + "triggers:\n  - {id: f, type: core.trigger.Flow}\n",
        [
            "warning 8:5 triggers[0]: this trigger fires after every execution of every flow; add `preconditions`"
        ],
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_warning_leaves_the_flow(name: str) -> None:
    text, expected = WARNINGS[name]
    assert said(text) == expected
    assert check_flow(text.encode(), PATH, registry()).flow is not None


def test_an_expression_that_does_not_parse_is_a_warning() -> None:
    text = HEAD + 'tasks:\n  - {id: t, type: core.log.Log, message: "{{ a + }}"}\n'
    (found,) = said(text)
    assert found.startswith("warning 4:42 tasks[0].message: this expression will fail: ")
    assert check_flow(text.encode(), PATH, registry()).flow is not None


def test_prose_is_not_taken_for_an_expression() -> None:
    assert said(HEAD + 'description: "write {{ like this"\n' + TASK) == []
