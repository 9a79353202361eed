"""A short soak: faults, stops and restarts by chance, the right bytes in the end; `tests/soak.py` plays long ones."""

import pytest

from tests.soak import KINDS, soak


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runs", [4, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])])
async def test_runs_with_faults_end_with_the_right_bytes(kind: str, runs: int) -> None:
    assert await soak((kind,), runs, seed=runs) == {kind: runs}
