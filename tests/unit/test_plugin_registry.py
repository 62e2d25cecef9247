"""Finding plugins: spellings of a name, broken plugins, double claims, suggestions."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from engine.errors import NotFound, PluginError
from engine.plugins import Claim, Registry, registry
from engine.tasks.log import Log
from engine.tasks.subflow import Subflow
from engine.type_names import canonical
from tests.support.flow_files import HEAD


def claim(name: str, target: str, distribution: str = "dist", group: str = "tasks") -> Claim:
    return Claim(group, name, EntryPoint(name, target, f"headwater.{group}"), distribution, "1.2")


@pytest.mark.parametrize(
    "name", ["core.log.Log", "io.kestra.plugin.core.log.Log", "io.kestra.core.tasks.log.Log"]
)
def test_every_spelling_means_the_same(name: str) -> None:
    assert registry().find("tasks", name) is Log


def test_renamed_classes() -> None:
    assert registry().find("tasks", "io.kestra.core.tasks.flows.Flow") is Subflow
    assert canonical("io.kestra.core.tasks.flows.Worker") == ("core.flow.WorkingDirectory", True)
    assert canonical("io.kestra.core.models.conditions.types.DayWeekCondition") == (
        "core.condition.DayWeek",
        True,
    )
    assert canonical("io.kestra.plugin.fs.http.Request") == ("core.http.Request", True)
    assert canonical("core.log.Log") == ("core.log.Log", False)
    assert canonical("nobody.knows.This") == ("nobody.knows.This", False)


def test_all_built_in_plugins_load() -> None:
    assert registry().problems() == ()


def test_a_broken_plugin_stops_only_itself() -> None:
    found = Registry([claim("a.B", "no_such_module:B"), claim("a.C", "engine.tasks.log:Log")])
    assert found.find("tasks", "a.C") is Log
    with pytest.raises(PluginError) as caught:
        found.find("tasks", "a.B")
    assert str(caught.value) == (
        "plugin `a.B` of dist 1.2 (entry point `no_such_module:B`) cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_such_module'; update or uninstall it"
    )
    assert len(found.problems()) == 1


def test_two_claims_on_one_name_are_refused() -> None:
    found = Registry(
        [claim("a.B", "engine.tasks.log:Log", "one"), claim("a.B", "engine.tasks.log:Echo", "two")]
    )
    with pytest.raises(PluginError) as caught:
        found.find("tasks", "a.B")
    assert str(caught.value) == (
        "`a.B` (tasks) is claimed by one 1.2 (entry point `engine.tasks.log:Log`) and by "
        "two 1.2 (entry point `engine.tasks.log:Echo`); uninstall one of them"
    )


def test_a_flow_that_uses_a_broken_plugin_says_so_in_its_place() -> None:
    from engine.spec.compile import check_flow

    types = Registry([claim("a.B", "no_such_module:B")])
    content = (HEAD + "tasks:\n  - {id: t, type: a.B}\n").encode()
    (problem,) = check_flow(content, "f", types).problems
    assert (problem.line, problem.column) == (4, 19)
    assert problem.message.startswith("plugin `a.B` of dist 1.2")


def test_an_unknown_name_offers_the_nearest() -> None:
    assert registry().suggest("tasks", "core.log.Lgo") == "core.log.Log"
    assert (
        registry().suggest("tasks", "io.kestra.plugin.core.flow.Foreach")
        == "io.kestra.plugin.core.flow.ForEach"
    )
    assert registry().suggest("tasks", "jdbc.postgresql.Query") == ""
    assert registry().find("tasks", "core.log.Lgo") is None
    with pytest.raises(NotFound, match="did you mean `process`"):
        registry().load("runners", "proces")
