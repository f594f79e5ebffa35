"""`mot models`: known models and their download."""

from __future__ import annotations

import click


@click.group(
    short_help="List known models, and download them.",
    invoke_without_command=True,
    epilog="""\b
Examples:
  mot models                                  all, and which are installed
  mot models get yolov3                       download, check and keep
  mot detect video.mp4 --detector yolov3
  mot track video.mp4 --embedder "$(mot models path osnet_x0_25_msmt17)"
""",
)
@click.pass_context
def models(context: click.Context) -> None:
    """List the known models with their licences, and which are installed. They are stored in
    `models` under MOT_HOME [default: ~/.cache/mot]."""
    if context.invoked_subcommand is None:
        from mot.commands.models import show_models

        show_models()


@models.command(
    short_help="Download a model.",
    epilog="""\b
Examples:
  mot models get yolov3-tiny
  mot models get yolov3 --force               download again
""",
)
@click.argument("name")
@click.option("--force", is_flag=True, help="Download even if installed.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def get(name: str, force: bool, quiet: bool) -> None:
    """Download the files of the model NAME and check their hashes. An interrupted download
    resumes. The hashes of installed files are checked too."""
    from mot.commands.models import fetch

    fetch(name, force, quiet)


@models.command(
    short_help="Print the path of a model.",
    epilog="""\b
Examples:
  mot models path osnet_x0_25_msmt17
""",
)
@click.argument("name")
def path(name: str) -> None:
    """Print the path of the model NAME, also if it is still to be placed there by hand."""
    from mot.commands.models import show_path

    show_path(name)
