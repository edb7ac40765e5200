"""`asif-serve`: the server."""

import socket
import sys
from typing import Annotated

import typer

from asif_data.errors import AsifError
from asif_data.model_dir import ModelDirectory, load
from asif_serve import logs
from asif_serve.predictor import fastest, load_predictor
from asif_serve.server import run
from asif_serve.settings import Settings, read_settings
from asif_serve.workers import Supervisor

_SETTINGS = "\n\n".join(
    f"ASIF_{name.upper()}: {field.description} (default: {field.default})"
    for name, field in Settings.model_fields.items()
)
app = typer.Typer(add_completion=False)


@app.command(help=f"Serve a model over HTTP.\n\nSettings are environment variables:\n\n{_SETTINGS}")
def serve(port: Annotated[int | None, typer.Option(help="Overrides ASIF_PORT.", min=0, max=65535)] = None) -> None:
    """Verify and load the model, then answer until stopped."""
    settings = read_settings()
    if port is not None:
        settings = settings.model_copy(update={"port": port})
    settings.check_binding()
    logs.set_up(settings.log_level)
    if settings.workers == 1:
        predictor = load_predictor(settings.model)
        listener = _listen(settings)
        run(settings, predictor, listener, lambda: _announce(settings, predictor.model, listener))
    else:
        model = load(settings.model)
        listener = _listen(settings)
        Supervisor(settings, listener).run(lambda: _announce(settings, model, listener))


def _listen(settings: Settings) -> socket.socket:
    """A socket on the address that the settings name. Raises AsifError if it is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise AsifError(f"ASIF_HOST, ASIF_PORT: expected a free address, found {where}: {error.strerror}.") from None


def _announce(settings: Settings, model: ModelDirectory, listener: socket.socket) -> None:
    """Print the address and a ready `curl` line, once requests are taken."""
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    key = ' -H "Authorization: Bearer $KEY"' if settings.keys else ""
    body = '{"utterances": [{"text": "It sounds like you felt utterly abandoned."}]}'
    what = f"{model.manifest.name} {model.manifest.version} ({fastest(model).file})"
    documented = f", documentation at {address}/docs" if settings.docs else ""
    typer.echo(f"Serving {what} on {address}{documented}\nTry:\n")
    typer.echo(f"  curl -s {address}/v1/classify{key} -H 'Content-Type: application/json' -d '{body}'\n")
    sys.stdout.flush()


def main() -> None:
    """The console script: a user's mistake is one message and exit status 1, never a traceback."""
    try:
        app()
    except AsifError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
