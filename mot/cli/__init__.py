"""The command line: flags of each verb in its own file; work is imported when a verb runs."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from mot import __version__
from mot.cli.benchmark import benchmark
from mot.cli.convert import convert
from mot.cli.data import data
from mot.cli.detect import detect
from mot.cli.eval import eval_
from mot.cli.eval_detector import eval_detector
from mot.cli.eval_embedder import eval_embedder
from mot.cli.explain import explain
from mot.cli.export import export
from mot.cli.models import models
from mot.cli.render import render
from mot.cli.synth import synth
from mot.cli.track import track
from mot.cli.train import train
from mot.errors import MotError

_INTERRUPTED, _TERMINATED = 130, 143  # as shells count signals
_EPILOG = "Any command takes --debug: a full traceback in place of the one-line error."


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mot")
def cli() -> None:
    """Detect and track objects in video, and measure how well."""


_VERBS = (
    *(track, detect, eval_, eval_detector, eval_embedder, benchmark, render, synth),
    *(train, export, models, convert, explain, data),
)
for _verb in _VERBS:
    cli.add_command(_verb)


class Terminated(KeyboardInterrupt):
    """SIGTERM: files are closed as for Ctrl-C."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a verb; an error becomes one line and an exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(_run([word for word in words if word != "--debug"]))
    except MotError as error:
        _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt as error:
        code = _TERMINATED if isinstance(error, Terminated) else _INTERRUPTED
        _fail("".join(["interrupted", *getattr(error, "__notes__", [])]), code, debug)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _fail(f"{type(error).__name__}: {error} (a bug: please report it with --debug)", 1, debug)


def _run(words: list[str]) -> int:
    try:
        with cli.make_context("mot", words) as context:
            cli.invoke(context)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            return error.exit_code
        raise MotError(_one_line(error)) from error
    return 0


def _one_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    see = f" (see {context.command_path} --help)" if context else ""
    return " ".join(error.format_message().split()) + see


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    if debug:
        import traceback

        traceback.print_exc()
    print(f"mot: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
