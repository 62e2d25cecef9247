"""Whatever people do to their files, in whatever order: each flow's last-good version is live, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired import resolve, touched
from reconciler.diff import applied, diff
from reconciler.inventory import FlowFile, Identity, Inventory, Live, Version
from tests.support.reconciling import flow_file

PATHS = [f"flows/{name}.yaml" for name in "abcd"]
NAMES: list[Identity] = [("ns", name) for name in "xyz"]
BLOBS = ["1", "2", "3"]

versions = st.builds(Version, st.sampled_from(PATHS), st.sampled_from(BLOBS))
flows = st.dictionaries(st.sampled_from(NAMES), versions)


@given(flows)
def test_nothing_differs_from_itself(live: dict[Identity, Version]) -> None:
    assert diff(live, live) == ()


@given(flows, flows)
def test_applying_a_diff_reaches_what_is_wanted(
    live: dict[Identity, Version], wanted: dict[Identity, Version]
) -> None:
    changes = diff(live, wanted)
    assert applied(live, changes) == wanted
    assert diff(applied(live, changes), wanted) == ()
    assert len(changes) <= len({*live, *wanted})


def _file(path: str, identity: Identity, blob: str, state: str) -> FlowFile:
    known = None if state == "unreadable" else identity
    return flow_file(path, known, blob, refused=state != "valid")


written = st.builds(
    _file,
    st.sampled_from(PATHS),
    st.sampled_from(NAMES),
    st.sampled_from(BLOBS),
    st.sampled_from(["valid", "valid", "refused", "unreadable"]),
)
edits = st.one_of(written, st.sampled_from(PATHS))
"""A file as it is written, or the path of one that is deleted."""
commits = st.lists(st.lists(edits, min_size=1, max_size=3), max_size=12)


class Model:
    """The rules told once more, slowly: over all files and all flows, every time."""

    def __init__(self) -> None:
        self.files: dict[str, FlowFile] = {}
        self.live: dict[Identity, Version] = {}

    def commit(self, changes: list[FlowFile | str]) -> None:
        for change in changes:
            if isinstance(change, str):
                self.files.pop(change, None)
            else:
                self.files[change.path] = change
        self.live = {name: version for name in NAMES if (version := self._of(name)) is not None}

    def _of(self, name: Identity) -> Version | None:
        claims = [file for file in self.files.values() if file.identity == name]
        valid = [file for file in claims if not file.refused]
        before = self.live.get(name)
        if len(valid) == 1:
            return Version(valid[0].path, valid[0].blob)
        if len(valid) > 1 or claims:
            return before
        origin = self.files.get(before.path) if before else None
        return before if origin is not None and origin.refused else None


@given(commits)
def test_every_history_leaves_the_last_good_of_each_flow_live(history: list[list[FlowFile | str]]) -> None:
    model = Model()
    inventory, live = Inventory(), Live()
    for changes in history:
        model.commit(changes)
        last = {change if isinstance(change, str) else change.path: change for change in changes}
        files = [change for change in last.values() if isinstance(change, FlowFile)]
        gone = [change for change in last.values() if isinstance(change, str)]
        after = inventory.updated(files, gone)
        asked = touched(inventory, after, live, last)
        wanted = resolve(asked, after, live, {}).wanted
        found = diff({name: live.versions[name] for name in asked if name in live.versions}, wanted)
        live = live.updated(
            {
                change.identity: Version(change.path, change.blob)
                for change in found
                if change.kind != "removed"
            },
            [change.identity for change in found if change.kind == "removed"],
        )
        inventory = after
        assert dict(live.versions) == model.live
        assert dict(inventory.files) == model.files
    everything = {*NAMES}
    assert diff(dict(live.versions), resolve(everything, inventory, live, {}).wanted) == ()
    assert inventory == Inventory().updated(model.files.values(), ()), (
        "indexes hold what the files say, no more"
    )
    assert live == Live().updated(model.live, ())
