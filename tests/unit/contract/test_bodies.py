"""Jobs and errors as JSON: the exact bytes of the contract's examples."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pikarelay import errors
from pikarelay.contract.bodies import encode, error_body, iso_time, job_body
from pikarelay.errors import ApiError
from pikarelay.jobs.job import Attachment, Job, Status, Upload, Verb
from tests.factories import TOKEN, VIDEO, a_file, a_job, a_parent

#: The contract's own example of an answer to POST button, in its order.
ANSWER: dict[str, Any] = {
    "jobid": "J2",
    "verb": "pika-button",
    "status": "started",
    "created": "2023-09-09T02:04:49.667Z",
    "updated": "2023-09-09T02:04:53.581Z",
    "button": "retry",
    "parentJobId": "J1",
    "discord": "MTE…secured…xyz",
    "channel": "1180000000000000001",
    "maxJobs": 10,
    "replyUrl": "https://webhook.site/abc",
    "replyRef": "ref",
    "messageId": "1190000000000000001",
    "content": "<@1170000000000000001>  Creation job queued. (Prompt: waves -w 2 -size 100  Author: <@1170000000000000001>)",
    "timestamp": "2023-09-09T02:04:51.926000+00:00",
    "code": 200,
}


def answered(**its: Any) -> Job:
    values: dict[str, Any] = {
        "parent_job_id": "J1",
        "status": Status.STARTED,
        "created": datetime(2023, 9, 9, 2, 4, 49, 667_000, tzinfo=UTC),
        "updated": datetime(2023, 9, 9, 2, 4, 53, 581_999, tzinfo=UTC),
        "reply_url": ANSWER["replyUrl"],
        "reply_ref": ANSWER["replyRef"],
        "message_id": ANSWER["messageId"],
        "content": ANSWER["content"],
        "timestamp": ANSWER["timestamp"],
    }
    return a_job("J2", **(values | its))


def shown(job: Job, code: int = 200) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(job_body(job, code)))
    return body


def test_answer_of_the_contract() -> None:
    """The answer to a button has the contract's keys in the contract's order, and no other."""
    assert json.dumps(ANSWER, ensure_ascii=False, separators=(",", ":")).encode() == encode(
        job_body(answered())
    )


def test_created_is_shown_as_started() -> None:
    """A job whose bot is silent is `started`, without message."""
    body = shown(a_job())

    assert body["status"] == "started"
    assert not {"messageId", "content", "timestamp"} & set(body)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.CREATED}))
def test_other_statuses_are_shown_as_they_are(status: Status) -> None:
    """The contract's six words are ours."""
    assert status.value == shown(a_job(status=status))["status"]


def test_completed_job() -> None:
    """A result shows its prompt, the buttons that may be pressed and its files, `url` first."""
    body = shown(a_parent(image=Upload(size=1024, type="image/png", key="secret-key")))

    assert (
        body["prompt"],
        body["buttons"],
        body["image"],
    ) == ("a red kite", ["retry"], {"size": 1024, "type": "image/png"})
    assert list(body["attachments"][0]) == [
        "url",
        "proxy_url",
        "filename",
        "content_type",
        "size",
        "width",
        "height",
        "id",
    ]
    assert VIDEO.url == body["attachments"][0]["url"]
    assert not {"button", "parentJobId", "error"} & set(body)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.COMPLETED}))
def test_files_and_buttons_only_when_completed(status: Status) -> None:
    """Whatever a job holds, only a completed one offers files and buttons."""
    assert not {"attachments", "buttons"} & set(shown(a_parent(status=status)))


def test_hidden_message_is_text_or_file() -> None:
    """What was to be hidden is shown as the text, or as the size and type of the file."""
    text = a_parent(verb=Verb.ENCRYPT_TEXT, message="hi", font="RETRO")
    file = a_parent(verb=Verb.ENCRYPT_IMAGE, message_image=Upload(size=2, type="image/gif", key="k"))

    assert (shown(text)["message"], shown(text)["font"]) == ("hi", "RETRO")
    assert shown(file)["message"] == {"size": 2, "type": "image/gif"}


def test_no_nulls_at_any_depth() -> None:
    """Absent values are left out, also inside files and Discord's own embeds."""
    bare = Attachment(url="u", proxy_url="p", filename="f", id="1")
    embed: dict[str, Any] = {"type": "rich", "description": None, "image": {"url": "x", "width": None}}
    job = a_parent(attachments=(bare,), embeds=({**embed, "fields": [{"name": None}, None]},))

    assert b"null" not in encode(job_body(job))
    assert shown(job)["embeds"] == [{"type": "rich", "image": {"url": "x"}, "fields": [{}]}]


@pytest.mark.parametrize("code", [200, 502])
def test_failed_job(code: int) -> None:
    """A failed job says why, in the status that its caller is answered with."""
    body = shown(answered(status=Status.FAILED, error="no", error_details='{"a":1}'), code)

    assert ("failed", "no", '{"a":1}', code) == (
        body["status"],
        body["error"],
        body["errorDetails"],
        body["code"],
    )


def test_token_and_storage_keys_never_show() -> None:
    """No body tells the token, or where an upload is kept."""
    text = encode(job_body(a_parent(image=Upload(size=1, type="image/png", key="secret-key")))).decode()

    assert TOKEN not in text
    assert "secret-key" not in text


@pytest.mark.parametrize(
    ("microsecond", "decimals"), [(0, "000"), (999, "000"), (1_000, "001"), (999_999, "999")]
)
def test_time_has_three_decimals(microsecond: int, decimals: str) -> None:
    """Milliseconds are cut, never rounded into the next second."""
    moment = datetime(2023, 9, 9, 2, 4, 49, microsecond, tzinfo=UTC)

    assert f"2023-09-09T02:04:49.{decimals}Z" == iso_time(moment)


ERRORS: list[tuple[ApiError, str]] = [
    (errors.Unauthorized(), '{"error":"Unauthorized","code":401}'),
    (
        errors.SubscriptionExpired(),
        '{"error":"Account has no subscription or subscription expired","code":402}',
    ),
    (errors.ScopeMissing("use"), '{"error":"API token has no scope use","code":403}'),
    (errors.MissingValue("jobid or button"), '{"error":"jobid or button value is missing","code":400}'),
    (errors.ButtonNotSupported("remix"), '{"error":"button remix not supported","code":400}'),
    (errors.TooLong("replyRef or replyUrl"), '{"error":"replyRef or replyUrl is too long","code":400}'),
    (errors.JobIdNotProvided(), '{"error":"Query param jobid not provided","code":400}'),
    (errors.JobNotFound("J9"), '{"error":"Unable to locate job J9","code":404}'),
    (errors.RouteNotFound(), '{"error":"Not Found","code":404}'),
    (errors.MethodNotAllowed(["GET"]), '{"error":"Method Not Allowed","code":405}'),
    (
        errors.TooManyJobs(10, ["J1", "J2"]),
        '{"error":"Maximum of 10 jobs executing in parallel supported","executingJobs":["J1","J2"],"code":429}',
    ),
    (
        errors.DiscordRateLimited('{"retry_after":10}', 10.0),
        (
            '{"error":"Discord /interactions failed with HTTP status 429",'
            '"errorDetails":"{\\"retry_after\\":10}","code":429}'
        ),
    ),
    (errors.ApiError(), '{"error":"Internal Server Error","code":500}'),
    (errors.Unavailable(), '{"error":"Service Unavailable","code":503}'),
]


@pytest.mark.parametrize(("error", "text"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_of_the_contract(error: ApiError, text: str) -> None:
    """Each refusal has the contract's bytes."""
    assert text.encode() == encode(error_body(error))


class TestLinksToCopies:
    FILES_AT = "https://relay.example/files/"

    def urls(self, job: Job, files_at: str | None) -> list[tuple[str, str]]:
        return [(file.url, file.proxy_url) for file in job_body(job, files_at=files_at).attachments]

    def test_copies_have_our_links(self) -> None:
        """A file that has a copy is shown with the link to it, both ways that Discord has; one without with Discord's."""
        job = a_parent(attachments=(a_file(copy_name="a.mp4"), VIDEO))

        ours = self.FILES_AT + "a.mp4"
        assert [(ours, ours), (VIDEO.url, VIDEO.proxy_url)] == self.urls(job, self.FILES_AT)

    def test_without_a_mirror(self) -> None:
        """Without a mirror every link is Discord's, and the copy's name is nowhere."""
        job = a_parent(attachments=(a_file(copy_name="a.mp4"),))

        assert [(VIDEO.url, VIDEO.proxy_url)] == self.urls(job, None)
        assert b"a.mp4" not in encode(job_body(job))
