"""What a real cluster (Kubernetes 1.36) did, our controllers do: the same states in the same order, the same Events."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_replay import Replay

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))


def test_there_are_recordings():
    assert len(RECORDED) >= 19


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_object_goes_through_the_recorded_states(path):
    replay = Replay(path)
    replay.run()
    for name, expected in replay.recording["states"].items():
        histories = replay.histories(name.split("/")[0])
        assert expected in histories, f"{name} ({replay.recording['about']})"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_events_tell_the_recorded_story(path):
    replay = Replay(path)
    replay.run()
    recorded = {tuple(event) for event in replay.recording["events"]}
    assert {tuple(event) for event in replay.events()} == recorded
