"""The click group behind `koinon`: knows its commands by name, imports one when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

from koinon import MESOS_VERSION, __version__
from koinon.cli import COMMANDS


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            nearest = get_close_matches(args[0], COMMANDS, n=1)
            advice = f" Did you mean '{nearest[0]}'?" if nearest else ""
            ctx.fail(f"There is no command '{args[0]}'.{advice}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=f"koinon {__version__} (speaks Apache Mesos {MESOS_VERSION})")
def koinon() -> None:
    """Many machines, one pool: run a cluster, and run work on it.

    The master is the one named by --master or KOINON_MASTER (host:port); 127.0.0.1:5050 if neither is given.
    """


def run_group(arguments: Sequence[str]) -> int:
    """Run `koinon ARGUMENTS`; mistakes in them print the usage and give 2."""
    try:
        status = koinon.main(args=list(arguments), prog_name="koinon", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Abort:
        return 130
    return status if isinstance(status, int) else 0
