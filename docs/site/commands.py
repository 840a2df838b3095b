"""Lists of commands, targets and stages: from the command's parser, the Makefile and
dvc.yaml.
"""

import argparse
import re
from pathlib import Path

import yaml

from docs.site.parameters import escaped
from spikejoule.cli import build_parser

_TARGET = re.compile(r"([a-z-]+):.*## +(.*)")


def spikejoule_commands() -> str:
    """A section for each subcommand: what it does, how it is called, its arguments."""
    return "\n\n".join(_section(name, parser) for name, parser in subcommands().items())


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """The subcommands by their present names: of those of one parser, the first."""
    (action,) = (
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    names: dict[argparse.ArgumentParser, str] = {}
    for name, parser in action.choices.items():
        names.setdefault(parser, name)
    return {name: parser for parser, name in names.items()}


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    usage = " ".join(
        parser.format_usage().removeprefix("usage: ").replace("[-h] ", "").split()
    )
    lines = [
        f"### spikejoule {name}",
        str(parser.description),
        f"```text\n{_wrapped(usage)}\n```",
    ]
    rows = [
        f"| `{_call(action)}` | {escaped(str(action.help))} |"
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
    ]
    return "\n\n".join(
        [*lines, "\n".join(["| argument | meaning |", "|---|---|", *rows])]
    )


def _wrapped(usage: str) -> str:
    """One argument a line, so that a narrow page shows all of them."""
    return "\n    ".join(re.split(r" (?=\[)|(?<=\]) ", usage))


def _call(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    takes_value = action.nargs != 0
    value = str(action.metavar or action.dest.upper()) if takes_value else ""
    return f"{names} {value}".strip()


def make_targets(makefile: Path) -> str:
    """The targets that `make help` lists."""
    lines = makefile.read_text(encoding="utf-8").splitlines()
    targets = [found.groups() for line in lines if (found := _TARGET.match(line))]
    rows = [f"| `make {name}` | {meaning} |" for name, meaning in targets]
    return "\n".join(["| target | what it does |", "|---|---|", *rows])


def stages(pipeline: Path) -> str:
    """The stages of dvc.yaml and what they are for."""
    definition = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    rows = [
        f"| `{name}` | {stage['desc']} |"
        for name, stage in definition["stages"].items()
    ]
    return "\n".join(["| stage | what it does |", "|---|---|", *rows])


def packages(pipeline: Path) -> str:
    """The packages, and the stages of dvc.yaml that depend on each directly."""
    definition = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    users: dict[str, list[str]] = {}
    for name, stage in definition["stages"].items():
        for dependency in stage["deps"]:
            if dependency.startswith("src/spikejoule/"):
                users.setdefault(dependency.removeprefix("src/spikejoule/"), []).append(
                    name
                )
    rows = [
        f"| `{name}` | "
        f"{'all' if len(names) == len(definition['stages']) else ', '.join(names)} |"
        for name, names in sorted(users.items(), key=lambda each: -len(each[1]))
    ]
    return "\n".join(["| package | stages |", "|---|---|", *rows])
