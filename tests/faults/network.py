"""Watching commands for sockets, in a process of its own; and a command that has one, to see that the watch catches it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from videoscene_rt.cli import main as command_line


def _is_probe(frame: FrameType | None) -> bool:
    """urllib3, which diffusers imports, looks whether there is IPv6: it binds a socket to ::1, any port, and closes it."""
    while frame is not None:
        if frame.f_code.co_name == "_has_ipv6" and frame.f_globals.get("__name__") == "urllib3.util.connection":
            return True
        frame = frame.f_back
    return False


def no_network(commands: list[list[str]]) -> int:
    """Run commands; no socket is made, bound or listened on, by Python or by a library beneath it."""
    seen: list[str] = []
    watched = (
        "socket.__new__",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.sendto",
        "socket.sendmsg",
    )

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in watched and not _is_probe(sys._getframe()):
            seen.append(f"{event} {arguments}")

    def listen(server: socket.socket, *_: int) -> None:
        seen.append(f"socket.listen {server}")

    sys.addaudithook(look)
    socket.socket.listen = listen  # type: ignore[method-assign, assignment]

    def sockets() -> set[str]:
        found = set()
        for entry in Path("/proc/self/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:"):
                found.add(target)
        return found

    before = sockets()
    for command in commands:
        code = command_line.main(command)
        assert code == 0, (command, code)
        assert sockets() <= before, f"{command} has opened {sockets() - before}"
    assert not seen, seen
    return 0


def caught(_: Any) -> int:
    """0 where the watch has seen the socket."""

    def listen(_arguments: list[str]) -> int:
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.close()
        return 0

    command_line.main = listen  # type: ignore[assignment]
    with pytest.raises(AssertionError, match=r"socket\.bind"):
        no_network([["listen"]])
    return 0
