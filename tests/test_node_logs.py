"""Logs in the CRI format, read as `kubectl logs` asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from node_fakes import run

from kitlib.node.logs import LogOptions, parse_line, read_log, tail_position
from kitlib.objects.clock import FakeClock

LINES = [f"2026-11-22T10:00:{i:02d}.123456789Z {'stderr' if i % 5 == 4 else 'stdout'} F line {i}\n" for i in range(10)]


async def gather(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def read(path: Path, **options: object) -> list[str]:
    wanted = LogOptions(**options)  # type: ignore[arg-type]
    return run(FakeClock(), gather(read_log(path, wanted, lambda: False))).decode().splitlines()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_text("".join(LINES))
    return path


def test_all_of_it(log: Path) -> None:
    assert read(log) == [f"line {i}" for i in range(10)]


@pytest.mark.parametrize(("tail", "expected"), [(0, []), (1, ["line 9"]), (3, ["line 7", "line 8", "line 9"]),
                                                (10, [f"line {i}" for i in range(10)]),
                                                (99, [f"line {i}" for i in range(10)])])
def test_the_last_lines(log: Path, tail: int, expected: list[str]) -> None:
    assert read(log, tail=tail) == expected


def test_the_tail_of_a_file_larger_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    line = f"2026-11-22T10:00:00.000000000Z stdout F {'x' * 1000}\n"
    path.write_text(line * 500)
    with path.open("rb") as file:
        assert tail_position(file, 120) == len(line) * 380


def test_since_timestamps_limit_and_stream(log: Path) -> None:
    assert read(log, since=1795341607.0) == ["line 7", "line 8", "line 9"]
    assert read(log, tail=1, timestamps=True) == ["2026-11-22T10:00:09.123456789Z line 9"]
    assert read(log, limit=10) == ["line 0", "lin"]
    assert read(log, stream="Stderr") == ["line 4", "line 9"]


def test_parts_of_a_long_line_are_put_together_and_damaged_lines_left_out(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text("2026-11-22T10:00:00.1Z stdout P hello \ngarbage\n2026-11-22T10:00:00.2Z stdout F world\n"
                    "2026-11-22T10:00:00.3Z stdout F\n2026-11-22T10:00:00.4Z stdout F end\n")
    assert read(path) == ["hello world", "", "end"]
    assert parse_line(b"garbage\n") is None


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none.log") == []


def test_following_sends_what_is_added_until_the_container_ends(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    clock = FakeClock()
    alive = [True]

    async def life() -> list[bytes]:
        async def write() -> None:
            for line in LINES[:3]:
                await asyncio.sleep(1)
                with path.open("a") as file:
                    file.write(line[:20])
                    file.flush()
                    await asyncio.sleep(0.5)
                    file.write(line[20:])
            alive[0] = False

        writer = asyncio.ensure_future(write())
        pieces = [piece async for piece in read_log(path, LogOptions(follow=True), lambda: alive[0])]
        await writer
        return pieces

    assert run(clock, life()) == [b"line 0\n", b"line 1\n", b"line 2\n"]


def test_following_goes_on_in_the_new_file_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(LINES[0])
    alive = [True]

    async def life() -> list[bytes]:
        async def write() -> None:
            await asyncio.sleep(1)
            path.rename(tmp_path / "0.log.1")
            path.write_text(LINES[1])
            await asyncio.sleep(1)
            alive[0] = False

        writer = asyncio.ensure_future(write())
        pieces = [piece async for piece in read_log(path, LogOptions(follow=True), lambda: alive[0])]
        await writer
        return pieces

    assert run(FakeClock(), life()) == [b"line 0\n", b"line 1\n"]


def test_a_carriage_return_is_part_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"2026-11-22T10:00:00.1Z stdout F 10%\r20%\n2026-11-22T10:00:00.2Z stdout F done\n")
    whole = run(FakeClock(), gather(read_log(path, LogOptions(), lambda: False)))
    assert whole == b"10%\r20%\ndone\n"
