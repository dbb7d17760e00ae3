"""`cyclopean completion`: a script by which a shell completes our commands and flags, made from our own parser."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopean.cli import COMMANDS, QUIET, VERBOSE, output
from cyclopean.cli.bench import BENCHES
from cyclopean.cli.parsing import Option, options_of, parse
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag
from cyclopean.methods import RECIPES

SHELLS = ("bash", "zsh", "fish")
FAMILIES = {  # commands of which each member has flags of its own
    family: {name: text for name, (_, text) in members.items()}
    for family, members in (("train", RECIPES), ("bench", BENCHES))
}


@dataclass(frozen=True)
class Completion:
    """Print a script by which a shell completes commands, flags and their values.

    bash: cyclopean completion bash >> ~/.bashrc. zsh: cyclopean completion zsh >> ~/.zshrc. fish: cyclopean completion
    fish > ~/.config/fish/completions/cyclopean.fish. Print it anew after an update.
    """

    shell: Annotated[str, Flag("{bash,zsh,fish}", positional=True, default="(required)")] = ""
    """The shell that you use."""


def main(arguments: list[str]) -> int:
    """Print the script; return 0."""
    shell = parse(Completion, arguments, "cyclopean completion").shell
    if not shell:
        raise InputError(f"no shell was named; choose one of {', '.join(SHELLS)}: cyclopean completion bash")
    if shell not in SHELLS:
        raise unknown_name("shell", shell, SHELLS)
    script = fish() if shell == "fish" else bash()
    if shell == "zsh":
        script = f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{script}"
    print(script)
    output.emit({"shell": shell, "script": script})
    return 0


def kinds() -> dict[str, Callable[..., Any]]:
    """Return what each command's flags are made from, by its words: a dataclass, or the function of a recipe."""
    sources: dict[str, Callable[..., Any]] = {}
    for command, (module, _) in COMMANDS.items():
        name = "".join(part.capitalize() for part in command.split("-"))
        if command not in FAMILIES:
            sources[command] = getattr(importlib.import_module(module), name, lambda: None)
    for name, (place, _) in BENCHES.items():
        sources[f"bench {name}"] = resolve_name(f"{place.partition(':')[0]}:Bench{name.capitalize()}")
    return sources | {f"train {name}": resolve_name(place) for name, (place, _) in RECIPES.items()}


def flags(kind: Callable[..., Any]) -> Iterator[tuple[tuple[str, ...], Option | None, tuple[str, ...]]]:
    """Yield the names of each flag of a command, its option, and the values that it takes if they are few."""
    for option in options_of(kind):
        if not option.flag.positional:
            names = tuple(name for name in option.names if name not in option.flag.hidden)
            choices = get_args(option.kind) if get_origin(option.kind) is Literal else ()
            yield names, option, tuple(map(str, choices))
    yield ("--help", "-h"), None, ()
    yield VERBOSE, None, ()
    yield QUIET, None, ()
    yield (output.FLAG,), None, output.KINDS


def bash() -> str:
    """Return the script for bash, which zsh reads too."""
    words, choices = [], []
    for command, kind in kinds().items():
        listed = list(flags(kind))
        words.append(f'    "{command}") flags="{" ".join(name for names, _, _ in listed for name in names)}" ;;')
        for names, _, values in listed:
            if values:
                patterns = "|".join(f'"{command} {name}"' for name in names)
                choices.append(f'    {patterns}) values="{" ".join(values)}" ;;')
    families = [f'    {family}) names="{" ".join(members)}" ;;' for family, members in FAMILIES.items()]
    return "\n".join(
        [
            "_cyclopean() {",
            '  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"',
            '  local command="${COMP_WORDS[1]}" flags="" values="" names=""',
            "  COMPREPLY=()",
            '  if [ "$COMP_CWORD" -eq 1 ]; then',
            f'    COMPREPLY=($(compgen -W "{" ".join(COMMANDS)} --help --version" -- "$current"))',
            "    return",
            "  fi",
            '  case "$command" in',
            *families,
            "  esac",
            '  if [ -n "$names" ]; then',
            '    if [ "$COMP_CWORD" -eq 2 ]; then',
            '      COMPREPLY=($(compgen -W "$names --help" -- "$current"))',
            "      return",
            "    fi",
            '    command="$command ${COMP_WORDS[2]}"',
            "  fi",
            '  case "$command $previous" in',
            *choices,
            "  esac",
            '  case "$command" in',
            *words,
            "  esac",
            '  if [ -n "$values" ]; then',
            '    COMPREPLY=($(compgen -W "$values" -- "$current"))',
            '  elif [ "${current#-}" != "$current" ]; then',
            '    COMPREPLY=($(compgen -W "$flags" -- "$current"))',
            "  fi",
            "}",
            "complete -o default -F _cyclopean cyclopean  # without words of ours: names of files",
        ]
    )


def fish() -> str:
    """Return the script for fish."""
    first = "complete -c cyclopean -n __fish_use_subcommand"
    lines = [f"{first} -l version", *(f"{first} -a {name} -d {_quoted(text)}" for name, (_, text) in COMMANDS.items())]
    for family, members in FAMILIES.items():
        when = f"__fish_seen_subcommand_from {family}; and not __fish_seen_subcommand_from {' '.join(members)}"
        lines += [f"complete -c cyclopean -n '{when}' -a {name} -d {_quoted(text)}" for name, text in members.items()]
    for command, kind in kinds().items():
        when = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.split())
        for names, option, values in flags(kind):
            words = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in names)
            takes = f" -xa {_quoted(' '.join(values))}" if values else " -r" if option and option.kinds else ""
            lines.append(f"complete -c cyclopean -n '{when}' {words}{takes}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
