"""The code blocks of the documentation, and what tests need to run them as written.

A fenced block with a title is a file or lines of one: a `.py` file is written, keys of
params.yaml are set or added, any other file is appended to. HTML comments above a
block, which readers do not see, adapt it for tests:

<!-- test: first COMMAND -->            run a shell command before the block
<!-- test: "A" stands for "B" -->       run with B where the page has A
<!-- test: ends with 1 -->              the block's exit status, if it is not 0
<!-- test: until http://HOST:PORT -->   the block's server is ready when this answers
"""

import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tools.pipeline_tools import run, set_parameters
from tests.tools.services import answers, running

_FENCE = re.compile(
    r"(?P<comments>(?:^<!-- test: [^\n]* -->\n)*)"
    r"^(?P<ticks>```+)(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^(?P=ticks)$",
    flags=re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"^<!-- test: (.*) -->$", flags=re.MULTILINE)
_STANDS_FOR = re.compile(r'"(.+)" stands for "(.*)"')


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: language of the fence.
        title: the file that it is or belongs to; empty for none.
        text: its text, adapted by the comments.
        before: commands to run first.
        status: expected exit status.
        until: address of the server that it starts.
    """

    language: str
    title: str
    text: str
    before: list[str] = field(default_factory=list)
    status: int = 0
    until: str = ""


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page; ValueError for a comment without effect."""
    content = page.read_text(encoding="utf-8")
    blocks = [_block(match) for match in _FENCE.finditer(content)]
    # A comment without a block, or a fence without a language, would test nothing.
    comments = sum(
        len(_COMMENT.findall(match["comments"])) for match in _FENCE.finditer(content)
    )
    if content.count("<!-- test") != comments or content.count("\n```") != 2 * len(
        blocks
    ):
        raise ValueError(
            f"{page}: a fence has no language, or a comment for tests no fence"
        )
    return blocks


def _block(match: re.Match[str]) -> Block:
    text = match["text"]
    before = []
    status = 0
    until = ""
    for comment in _COMMENT.findall(match["comments"]):
        verb, _, rest = comment.partition(" ")
        if verb == "first":
            before.append(rest)
        elif verb == "until":
            until = rest
        elif comment.startswith("ends with "):
            status = int(comment.split()[-1])
        elif (replaced := _STANDS_FOR.fullmatch(comment)) and replaced[1] in text:
            text = text.replace(replaced[1], replaced[2])
        else:
            raise ValueError(f"a comment for tests says nothing: {comment}")
    return Block(match["language"], match["title"] or "", text, before, status, until)


def names_in(page: Path, title: str) -> dict[str, Any]:
    """Run the Python block with a title and return what it defines."""
    (block,) = (block for block in blocks_of(page) if block.title == title)
    names: dict[str, Any] = {}
    exec(compile(block.text, title, "exec"), names)
    return names


def write_block(block: Block, folder: Path) -> None:
    """Write a block with a title into a project."""
    path = folder / block.title
    if path.name == "params.yaml":
        set_parameters(folder, by_full_key(block.text))
    elif path.suffix == ".py":
        assert not path.exists(), f"{block.title} is there already"
        path.write_text(block.text, encoding="utf-8")
    else:
        with path.open("a", encoding="utf-8") as stream:
            stream.write("\n" + block.text)


def by_full_key(text: str) -> dict[str, str]:
    """Read lines of a section of params.yaml: values with comments, by full key."""
    section, *lines = text.splitlines()
    pairs = [line.strip().split(": ", 1) for line in lines]
    return {f"{section}{key}".replace(":", "."): value for key, value in pairs}


@dataclass
class Reader:
    """A reader who follows a page in one shell.

    Attributes:
        folder: the project.
        environment: variables of the shell, including those that blocks export.
        servers: servers that blocks have started.
    """

    folder: Path
    environment: dict[str, str]
    servers: ExitStack

    def follow(self, block: Block) -> None:
        """Run a block, apply it, or write it to its file."""
        for command in block.before:
            self.shell(command)
        if block.language == "diff":
            patch = self.folder.parent / "patch"
            patch.write_text(block.text, encoding="utf-8")
            run(["git", "apply", "--recount", patch], self.folder, self.environment)
        elif block.title:
            write_block(block, self.folder)
        elif block.until:
            self.serve(block)
        elif block.language == "sh":
            self.shell(block.text, block.status)
        else:
            assert block.language == "text"

    def shell(self, text: str, status: int = 0) -> None:
        """Run commands, which must end with a status, and remember their exports."""
        exports = self.folder.parent / "environment"
        script = f"set -euo pipefail\n{text}\nenv -0 > {exports}\n"
        run(["bash", "-c", script], self.folder, self.environment, status)
        if status == 0:
            variables = exports.read_text(encoding="utf-8").split("\0")
            self.environment = dict(line.split("=", 1) for line in variables if line)

    def serve(self, block: Block) -> None:
        """Run all commands, the last of which is a server until the page ends."""
        *others, command = block.text.replace("\\\n", " ").strip().splitlines()
        self.shell("\n".join(others))
        url = run(
            ["bash", "-c", f'printf %s "{block.until}"'], self.folder, self.environment
        )
        self.servers.enter_context(
            running(
                ["bash", "-c", command],
                log=self.folder.parent / "server.log",
                ready=lambda: answers(url),
                env=self.environment,
                cwd=self.folder,
            )
        )
