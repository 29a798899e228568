"""The systems that records come from. `base` is the protocol each fulfils; `build` makes them all."""

from __future__ import annotations

from zendeskd.connectors.base import Connector


def build() -> dict[str, Connector]:
    """One connector for each system, by the name that integrations use. Made once a process."""
    from zendeskd.connectors.zendesk import ZendeskConnector  # noqa: PLC0415 - httpx costs 100 ms; who asks pays

    return {"zendesk": ZendeskConnector()}
