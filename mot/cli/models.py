"""`mot models`: known models, and how they come onto this machine."""

from __future__ import annotations

import click


@click.group(
    short_help="List known models, and download them.",
    invoke_without_command=True,
    epilog="""\b
Examples:
  mot models                                  those known, and which of them are here
  mot models get yolov3                       download, check and keep
  mot detect video.mp4 --detector yolov3
  mot track video.mp4 --embedder "$(mot models path osnet_x0_25_msmt17)"
""",
)
@click.pass_context
def models(context: click.Context) -> None:
    """List the known models with their licences, and which of them are here. They are kept in
    `models` under MOT_HOME [default: ~/.cache/mot]."""
    if context.invoked_subcommand is None:
        from mot.commands.models import show_models

        show_models()


@models.command(
    short_help="Download a model.",
    epilog="""\b
Examples:
  mot models get yolov3-tiny
  mot models get yolov3 --force               anew, whatever is here
""",
)
@click.argument("name")
@click.option("--force", is_flag=True, help="Download again what is here.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def get(name: str, force: bool, quiet: bool) -> None:
    """Download the files of the model NAME, check them and keep them. A download that broke off
    goes on where it stood. Of files that are here the hashes are checked."""
    from mot.commands.models import fetch

    fetch(name, force, quiet)


@models.command(
    short_help="Tell where a model lies.",
    epilog="""\b
Examples:
  mot models path osnet_x0_25_msmt17
""",
)
@click.argument("name")
def path(name: str) -> None:
    """Print where the file of the model NAME lies, or is to be placed by hand."""
    from mot.commands.models import show_path

    show_path(name)
