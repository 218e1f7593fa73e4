"""The queries of docs/grafana.json."""

from __future__ import annotations

import json
from typing import Any

import support

DASHBOARD = json.loads((support.ROOT / "docs" / "grafana.json").read_text())


def panels() -> list[dict[str, Any]]:
    return DASHBOARD["panels"]


def queries() -> list[str]:
    """Returns the query of each target."""
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def variables() -> dict[str, str]:
    """Returns the query of each variable of the dashboard that has one."""
    found = DASHBOARD["templating"]["list"]
    return {each["name"]: each["query"]["query"] for each in found if each["type"] == "query"}


def fill_in(text: str, **values: str) -> str:
    """Puts values in place of Grafana's variables."""
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    assert "$" not in text, text
    return text
