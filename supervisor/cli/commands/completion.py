"""`nightshift completion`: print a shell script that completes commands, options and jobs."""

import click

from supervisor.cli.command import command

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_NIGHTSHIFT_COMPLETE"


@command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the completion script of a shell.

    Names of jobs come from the living supervisor, else from jobs.yaml.

    \b
    Examples:
      nightshift completion bash > ~/.local/share/bash-completion/completions/nightshift
      nightshift completion zsh > ~/.zfunc/_nightshift
      nightshift completion fish > ~/.config/fish/completions/nightshift.fish
    """
    # Late: `main` imports this file from its table.
    from click.shell_completion import get_completion_class

    from supervisor.cli.main import program

    found = get_completion_class(shell)
    assert found is not None  # one of ours
    # Not source(): it starts bash to ask for its version, and bash may be missing.
    script = found(program, {}, "nightshift", VARIABLE)
    print(script.source_template % script.source_vars())
    return 0
