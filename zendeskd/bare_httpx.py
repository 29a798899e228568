"""httpx without its command line, which would be imported with it and cost 40 ms of click and rich."""

from __future__ import annotations

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # "there is none"

import httpx  # noqa: E402

if sys.modules.get("httpx._main", sys) is None:
    del sys.modules["httpx._main"]  # whoever wants it may have it

__all__ = ["httpx"]
