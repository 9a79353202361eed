"""AWS JSON 1.1 as ECR speaks it: requests, replies and pages of lists."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Generic, Self, TypeVar

import msgspec
from botocore.exceptions import ParamValidationError
from botocore.model import OperationModel, OperationNotFoundError, ServiceModel
from botocore.parsers import ResponseParserError, create_parser
from botocore.serialize import create_serializer

from transfer.errors import InvalidConfig, RegistryError
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpResponse
from transfer.registry.ecr.errors import error_of

Headers = dict[str, str]


class AwsJsonProtocol:
    """Encodes and decodes every operation that botocore's model of ECR knows."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._serializer = create_serializer("json")
        self._parser = create_parser("json")

    def headers(self, operation: str) -> Headers:
        """Return the headers that name an operation, for a body that is built elsewhere."""
        metadata = self._operation(operation).metadata
        return {
            "X-Amz-Target": f"{metadata['targetPrefix']}.{operation}",
            "Content-Type": f"application/x-amz-json-{metadata['jsonVersion']}",
        }

    def encode(self, operation: str, params: Mapping[str, Any]) -> RequestBody:
        """
        Return the body of a request.

        Raises:
            InvalidConfig: no such operation, or parameters that do not fit it.
        """
        try:
            serialized = self._serializer.serialize_to_request(params, self._operation(operation))
        except ParamValidationError as error:
            reason = "; ".join(line.strip() for line in str(error).splitlines()[1:])
            raise InvalidConfig(f"{operation}: {reason}") from None
        content = serialized["body"]
        return RequestBody((content,), digest=sha256(content).hexdigest())

    def decode(self, operation: str, reply: HttpResponse, *, what: str) -> dict[str, Any]:
        """
        Return the answer, in the shape that boto3 gives it.

        Raises:
            RegistryError: of the kind that the reply means; also for a success that is not the API's.
        """
        if reply.status >= 300:
            raise error_of(what, reply)
        # botocore's stubs want a shape here, its parser does not.
        shape: Any = self._operation(operation).output_shape
        try:
            # botocore takes a body that is no JSON for an empty answer.
            msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
            parsed: dict[str, Any] = self._parser.parse(
                {"status_code": reply.status, "headers": dict(reply.headers), "body": reply.body},
                shape,
            )
        except (ValueError, TypeError, AttributeError, ResponseParserError) as error:
            raise RegistryError(
                f"{what}: the response is not one of the ECR API ({type(error).__name__}); "
                "check that AWS_ENDPOINT_URL is the address of an ECR API",
                status=reply.status,
                code="UnreadableAnswer",
            ) from None
        return parsed

    def _operation(self, name: str) -> OperationModel:
        try:
            return self._model.operation_model(name)
        except OperationNotFoundError:
            raise InvalidConfig(f"{name!r} is not an operation of the ECR API") from None


R = TypeVar("R")
Page = dict[str, Any]


class Pages(AsyncIterator[Page]):
    """
    Every page, whole.

    Args:
        ask: fetches the page of these parameters.
        params: those of the first page.
        paginator: botocore's model of how the pages hang together.
        what: the list, for an error.

    Raises (on iteration):
        RegistryError: a page names one that was already read, so that there is no end.
    """

    def __init__(
        self, ask: Callable[[Mapping[str, Any]], Awaitable[Page]], params: Mapping[str, Any], paginator: Any, what: str
    ) -> None:
        self._ask = ask
        self._params: dict[str, Any] | None = dict(params)
        self._input: str = paginator["input_token"]
        self._output: str = paginator["output_token"]
        self._what = what
        self._seen: set[str] = set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._params is None:
            raise StopAsyncIteration
        page = await self._ask(self._params)
        token: str = page.get(self._output) or ""
        if token in self._seen:
            raise RegistryError(
                f"{self._what}: the registry repeats a page token, so its pages never end; try again later",
                status=200,
                code="RepeatedPageToken",
            )
        self._seen.add(token)
        self._params = {**self._params, self._input: token} if token else None
        return page


class Items(AsyncIterator[R], Generic[R]):
    """Every entry under `key`, over all pages."""

    def __init__(self, pages: Pages, key: str) -> None:
        self._pages = pages
        self._key = key
        self._held: deque[R] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        while not self._held:
            self._held.extend((await anext(self._pages)).get(self._key, ()))
        return self._held.popleft()
