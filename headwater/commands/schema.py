"""`headwater schema`: the JSON Schema of flow files, for editors."""

from __future__ import annotations

import json


def schema() -> int:
    """Print the JSON Schema of flow files, as this installation reads them, for editors."""
    from engine.plugins import registry
    from engine.spec.schema import flow_schema

    print(json.dumps(flow_schema(registry()), indent=1, ensure_ascii=False))
    return 0
