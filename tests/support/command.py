"""The command line in this process: what it printed, and the code it would have ended with."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from winnow.cli import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> Ended:
        self.monkeypatch.setattr(sys, "argv", ["winnow", *map(str, words)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = self.capsys.readouterr()
        return Ended(int(stop.value.code or 0), said.out, said.err)
