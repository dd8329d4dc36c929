"""completion: what a shell must be told, so that it completes verbs, options and names of jobs."""

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
    # Late: the table of verbs imports this file.
    from click.shell_completion import get_completion_class

    from supervisor.cli.main import program

    found = get_completion_class(shell)
    assert found is not None  # one of ours
    # Not source(): it starts a bash to ask for its version, which need not be there.
    script = found(program, {}, "nightshift", VARIABLE)
    print(script.source_template % script.source_vars())
    return 0
