"""What the tests of the commands share."""

from pathlib import Path

import pytest

from tests.host.cli.command import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path, {})


@pytest.fixture
def command_with_model(command: Command, cache_dir: Path) -> Command:
    return command.having(IMPERAL_CACHE_DIR=cache_dir)


@pytest.fixture(scope="module")
def shared_command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """For a table of commands that need nothing of one another."""
    return Command(tmp_path_factory.mktemp("commands"), {})
