"""What a request is answered with where it cannot be answered: OpenAI's error shape."""

from collections.abc import Mapping

from harvester.records import Json

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, REQUEST_TIMEOUT, TOO_MANY = 400, 401, 403, 404, 408, 429
INTERNAL, UNAVAILABLE = 500, 503


class Refused(Exception):
    """A request that gets an error instead of an answer.

    Args:
        message: one line for whoever asked.
        status: HTTP's.
        param: the field at fault, if it is one.
        code: what programs tell it by.
        headers: more of the reply's.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = BAD_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, dict(headers or {})

    @property
    def body(self) -> Json:
        """As OpenAI's API writes it."""
        kind = "invalid_request_error" if self.status < INTERNAL and self.status != TOO_MANY else "server_error"
        kind = "rate_limit_error" if self.status == TOO_MANY else kind
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def stopping() -> Refused:
    """For what comes while the server ends."""
    return Refused("the server is stopping", status=UNAVAILABLE, code="stopping", headers={"Retry-After": "5"})
