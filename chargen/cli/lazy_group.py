"""A group of commands whose modules are imported one by one, when a command is asked for.

Click's own group imports every command in order to list them in its help. This one carries the short
help of its commands, so `chargen --help` imports none of them, and none of what they import.
"""

from __future__ import annotations

import pkgutil
from typing import Any

import click


class LazyGroup(click.Group):
    """A group made of `lazy_commands`: name: (short help, "module:attribute")."""

    def __init__(self, *args: Any, lazy_commands: dict[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy_commands)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._lazy_commands:
            return None
        command: click.Command = pkgutil.resolve_name(self._lazy_commands[name][1])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, short_help) for name, (short_help, _) in self._lazy_commands.items()]
            )
