"""The pen answers whoever waits for what was handed over, whatever becomes of it."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest

from manifest_runner.runner.pen import Pen


class Strange(io.StringIO):
    """Fails as no file should."""

    def write(self, text: str) -> int:
        raise RuntimeError("no file does this")


async def test_an_answer_comes_also_when_writing_fails_as_nobody_expected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pen = Pen(Strange(), what="It")
    for _ in range(2):
        pen.write(b"a\n")
        async with asyncio.timeout(5):
            await pen.written()
    assert pen.broken
    pen.close(5)
    assert capsys.readouterr().err.count("can't be written any more (no file does this)") == 1


async def test_an_answer_comes_also_when_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", closed := io.StringIO())
    closed.close()
    pen = Pen(Strange(), what="It")
    pen.write(b"a\n")
    async with asyncio.timeout(5):
        await pen.written()
    assert pen.broken
    pen.close(5)
