"""`chargen app`: serves the web page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from chargen.cli.signals import asked_to_stop
from chargen.cli.terminal import say


class Login(click.ParamType):  # type: ignore[type-arg]
    """A user and a password, USER:PASSWORD, as a pair."""

    name = "user:password"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, tuple):
            return value
        user, colon, password = value.partition(":")
        if not (user and colon and password):
            self.fail("give a user and a password with a colon between them", param, ctx)
        return user, password


@click.command
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to listen on.  [default: the first free one from 7860 on]",
)
@click.option(
    "--auth",
    type=Login(),
    metavar="USER:PASSWORD",
    help="User and password that each visitor must enter; needed where others can reach the page.",
)
@click.option("--open-to-all", is_flag=True, help="Allow a public --host without a password.")
@click.option(
    "--root-path",
    default="",
    help="Address under which a proxy serves the page, such as https://example.org/chargen.",
)
@click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("checkpoints"),
    help="Folder with the models.",
)
@click.option("--browser/--no-browser", default=False, help="Open a browser.")
def app(
    host: str,
    port: int | None,
    auth: tuple[str, str] | None,
    open_to_all: bool,
    root_path: str,
    checkpoints: Path,
    browser: bool,
) -> None:
    """Serves a page to write, train, classify and look inside on; by default to this computer alone.

    \b
      chargen app
      chargen app --port 8000 --browser
      chargen app --host 0.0.0.0 --auth guest:secret
    """
    from chargen.web.page import build
    from chargen.web.server import serve

    url = serve(build(checkpoints), host, port, auth, root_path, open_to_all, browser)
    say(f"the page is at {url} (Ctrl-C ends it)")
    with asked_to_stop() as signals:
        while not signals:
            time.sleep(0.2)
    raise SystemExit(128 + signals[0])
