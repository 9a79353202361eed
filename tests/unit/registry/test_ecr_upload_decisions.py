"""What ECR's answers mean for an upload."""

from typing import Any

import pytest

from transfer.errors import RegistryError
from transfer.registry.ecr.upload_decisions import is_size_refused, next_offset, spoils_session


def refused(code: str = "InvalidLayerPartException", **details: Any) -> RegistryError:
    return RegistryError("refused", status=400, code=code, details=details)


@pytest.mark.parametrize(
    ("last", "first", "end", "expected"),
    [
        pytest.param(199, 100, 200, 200, id="our own part, its answer was lost"),
        pytest.param(99, 0, 100, 100, id="our own first part, its answer was lost"),
        pytest.param(49, 100, 200, 50, id="the registry kept less than it confirmed"),
        pytest.param(-1, 100, 200, 0, id="the registry has nothing, as moto says it"),
        pytest.param(None, 100, 200, None, id="the registry does not say"),
        pytest.param(299, 100, 200, None, id="somebody else sent more"),
        pytest.param(149, 100, 200, None, id="somebody else sent other parts"),
        pytest.param("199", 100, 200, None, id="not a number"),
    ],
)
def test_where_to_go_on_after_a_refused_part(last: object, first: int, end: int, expected: int | None) -> None:
    details: dict[str, Any] = {} if last is None else {"lastValidByteReceived": last}
    assert next_offset(refused(**details), first, end) == expected


@pytest.mark.parametrize(
    ("details", "first", "expected"),
    [
        ({"lastValidByteReceived": 99}, 100, True),
        ({"lastValidByteReceived": -1}, 0, True),
        ({}, 0, False),
        ({}, 100, False),
        ({"lastValidByteReceived": 199}, 100, False),
    ],
)
def test_a_part_refused_at_the_expected_byte_has_a_wrong_size(
    details: dict[str, Any], first: int, expected: bool
) -> None:
    assert is_size_refused(refused(**details), first) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("InvalidLayerException", True),
        ("LayerPartTooSmallException", True),
        ("EmptyUploadException", True),
        ("LayerAlreadyExistsException", False),
        ("KmsException", False),
    ],
)
def test_which_refused_completes_a_new_session_cures(code: str, expected: bool) -> None:
    assert spoils_session(refused(code)) is expected
