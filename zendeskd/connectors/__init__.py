"""The systems that records come from. `base` is the protocol each fulfils; `build` makes them all."""

from __future__ import annotations

from pathlib import Path

from zendeskd.connectors.base import Connector


def build(state_dir: Path | None = None) -> dict[str, Connector]:
    """One connector for each system, by the name that integrations use. Made once a process. `state_dir`: of the
    daemon, whose accounts may have asked it for something before it started."""
    from zendeskd.connectors.zendesk import ZendeskConnector  # noqa: PLC0415 - httpx costs 100 ms; who asks pays

    return {"zendesk": ZendeskConnector(state_dir=state_dir)}
