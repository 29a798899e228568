"""A terminal that goes away without a word, as that of a `docker exec` or `su -c` whose other end is closed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Iterator
from typing import Final

ENDS_WITHIN_S: Final = 5.0


@contextlib.contextmanager
def noticed(terminal: int = 0) -> Iterator[None]:
    """While it is entered, this process gets SIGHUP when its terminal is gone, as the leader of the terminal's session
    gets it from the kernel, and ends in any case.

    Textual takes an end of input for a pause: it would ask again and again, with all of a processor, and never end.
    Its thread that writes dies of the error, and whoever writes then waits for it."""
    ended, end = os.pipe()
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(terminal, ended, over), name="hanging-up", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        os.close(end)
        thread.join()
        os.close(ended)


def _watch(terminal: int, ended: int, over: threading.Event) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # POLLHUP and POLLERR are always told
    poll.register(ended, 0)
    if ended in {number for number, _ in poll.poll()}:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)  # so that what is still written does not fail
    os.close(nowhere)
    os.kill(os.getpid(), signal.SIGHUP)
    if not over.wait(ENDS_WITHIN_S):
        os._exit(128 + signal.SIGHUP)
