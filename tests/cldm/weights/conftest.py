"""What tests of the scripts that write weights share: what such a script says as it ends."""

import sys

import pytest


@pytest.fixture
def exit_message(monkeypatch, tmp_path):
    """exit_message(script, *arguments) runs a script in an empty folder; gives the line it exits with."""
    monkeypatch.chdir(tmp_path)

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            script.main()
        assert len(str(caught.value.code).splitlines()) == 1
        return caught.value.code

    return run
