"""Watching commands for sockets, in a process of its own; and a command that has one, to see that the watch catches it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.cli import main as command_line


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
    sys.addaudithook(lambda event, arguments: seen.append(f"{event} {arguments}") if event in watched else None)

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
