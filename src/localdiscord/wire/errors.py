"""
Discord's refusals: HTTP status, JSON code, text, and for forms the tree that names the field.

Codes and texts are Discord's documentation's and its own answers', as of 2026-08. Raised anywhere below an
edge; the REST edge writes them, an application inside the local Discord catches them.
"""

from collections.abc import Sequence
from typing import Any


class ApiError(Exception):
    """A request Discord refuses."""

    def __init__(self, status: int, code: int, message: str, **extra: Any) -> None:
        super().__init__(f"{status} {message} ({code})")
        self.status = status
        self.code = code
        self.message = message
        #: Further keys of the body: `errors`, `retry_after`, `global`.
        self.extra = extra

    @property
    def body(self) -> dict[str, Any]:
        return {"message": self.message, "code": self.code, **self.extra}


class InvalidForm(ApiError):
    """A field is wrong. The tree nests one key (or list index) per step of `path`, down to `_errors`."""

    def __init__(self, path: Sequence[str | int], code: str, message: str) -> None:
        tree: dict[str, Any] = {"_errors": [{"code": code, "message": message}]}
        for step in reversed(path):
            tree = {str(step): tree}
        super().__init__(400, 50035, "Invalid Form Body", errors=tree)


def required(*path: str | int) -> InvalidForm:
    return InvalidForm(path, "BASE_TYPE_REQUIRED", "This field is required")


def choices(*path: str | int) -> InvalidForm:
    return InvalidForm(path, "BASE_TYPE_CHOICES", "This value is not one of the allowed values.")


def bad_type(*path: str | int) -> InvalidForm:
    return InvalidForm(path, "BASE_TYPE_BAD_TYPE", "This value has the wrong type.")


def too_long(limit: int, *path: str | int) -> InvalidForm:
    return InvalidForm(path, "BASE_TYPE_BAD_LENGTH", f"Must be {limit} or fewer in length.")


def not_snowflake(*path: str | int) -> InvalidForm:
    return InvalidForm(path, "NUMBER_TYPE_COERCE", "Value is not snowflake.")


def component_validation_failed() -> InvalidForm:
    return InvalidForm(("data",), "COMPONENT_VALIDATION_FAILED", "Component validation failed")


def outdated_command() -> InvalidForm:
    return InvalidForm(
        ("data",),
        "INTERACTION_APPLICATION_COMMAND_INVALID_VERSION",
        "This command is outdated, please try again in a few minutes",
    )


def invalid_command(message: str = "This command is invalid") -> InvalidForm:
    return InvalidForm(("data",), "INTERACTION_APPLICATION_COMMAND_INVALID", message)


def invalid_json() -> ApiError:
    return ApiError(400, 50109, "The request body contains invalid JSON.")


def empty_message() -> ApiError:
    return ApiError(400, 50006, "Cannot send an empty message")


def uploaded_file_not_found() -> ApiError:
    return ApiError(400, 50146, "Uploaded file not found")


def already_acknowledged() -> ApiError:
    return ApiError(400, 40060, "Interaction has already been acknowledged.")


def unauthorized() -> ApiError:
    return ApiError(401, 0, "401: Unauthorized")


def invalid_webhook_token() -> ApiError:
    return ApiError(401, 50027, "Invalid Webhook Token")


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def not_the_author() -> ApiError:
    return ApiError(403, 50005, "Cannot edit a message authored by another user")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def bots_only() -> ApiError:
    return ApiError(403, 20002, "Only bots can use this endpoint")


def users_only() -> ApiError:
    return ApiError(403, 20001, "Bots cannot use this endpoint")


def cannot_message_user() -> ApiError:
    return ApiError(403, 50007, "Cannot send messages to this user")


def blocked() -> ApiError:
    """Say `Unknown Message` with a 403: Discord's anti-abuse measure, not a missing message."""
    return ApiError(403, 10008, "Unknown Message")


def verification_required() -> ApiError:
    return ApiError(403, 40002, "You need to verify your account in order to perform this action.")


def not_found() -> ApiError:
    return ApiError(404, 0, "404: Not Found")


def method_not_allowed() -> ApiError:
    return ApiError(405, 0, "405: Method Not Allowed")


def unknown_application() -> ApiError:
    return ApiError(404, 10002, "Unknown Application")


def unknown_channel() -> ApiError:
    return ApiError(404, 10003, "Unknown Channel")


def unknown_guild() -> ApiError:
    return ApiError(404, 10004, "Unknown Guild")


def unknown_message() -> ApiError:
    return ApiError(404, 10008, "Unknown Message")


def unknown_user() -> ApiError:
    return ApiError(404, 10013, "Unknown User")


def unknown_webhook() -> ApiError:
    return ApiError(404, 10015, "Unknown Webhook")


def unknown_interaction() -> ApiError:
    return ApiError(404, 10062, "Unknown interaction")


def unknown_command() -> ApiError:
    return ApiError(404, 10063, "Unknown application command")


def too_large() -> ApiError:
    return ApiError(413, 40005, "Request entity too large")


class RateLimited(ApiError):
    """Too many requests. The body's keys are in the order Discord sends them."""

    def __init__(self, retry_after: float, scope: str, code: int | None = None) -> None:
        resource = "The resource is being" if scope == "shared" else "You are being"
        super().__init__(429, code or 0, f"{resource} rate limited.")
        self.retry_after = retry_after
        self.scope = scope
        self.has_code = code is not None

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "message": self.message,
            "retry_after": round(self.retry_after, 3),
            "global": self.scope == "global",
        }
        if self.has_code:
            body["code"] = self.code
        return body
