"""The post-receive hook of docs/howto/connect-a-forge.md does what the page says."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from engine.clock import SystemClock
from reconciler.forges import FORGES
from tests.support.deliveries import SECRET
from tests.support.edge import Edge, source_for
from tests.support.serving import serving

PAGE = (Path(__file__).parents[2] / "docs/howto/connect-a-forge.md").read_text("utf-8")


async def test_the_post_receive_hook_is_accepted(tmp_path: Path) -> None:
    script = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    secret = tmp_path / "hook.secret"
    secret.write_text(SECRET + "\n")
    edge = Edge([source_for("generic", name="main")], clock=SystemClock())
    async with serving(edge.app) as port:
        script = script.replace("/etc/headwater/hook.secret", str(secret)).replace(":8080", f":{port}")
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env={"NO_PROXY": "*"}
        )
        async with asyncio.timeout(20):
            out, _ = await child.communicate()
    assert b'"accepted"' in out
    assert edge.nudges.asked == ["main"]


def test_every_forge_is_on_the_page() -> None:
    for forge in FORGES:
        assert forge in PAGE
