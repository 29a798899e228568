"""The C library's heap, told what the daemon does with it. The calls are glibc's; another library is left as it is."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_ARENAS: Final = 8
"""Heaps that all threads share. Each keeps the largest page it ever saw, so one for each thread makes the process four
times as large. With four, nine syncs of 26 had their worker and their fetcher on the same one and took a seventh
longer; with eight one of 26."""


def tune() -> None:
    """Main thread, before there are others.

    Once a large block was freed glibc takes the next ones from the heap, in whose holes a third of the memory stayed
    after a quarter of an hour: the threshold is held where whole pages of tickets go back to the system, and not the
    pieces they come in, which would cost a fault for each 4 KiB. The end of a heap goes back when it is 8 MiB long, as
    the records of a page are, not at 128 KiB: the system would have to clear the memory of each page's records anew.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        libc.mallopt(_M_TRIM_THRESHOLD, 8 * 1024 * 1024)


def give_back() -> None:
    """What is free of all heaps goes back to the system, which takes 1 ms. After work that held many records."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
