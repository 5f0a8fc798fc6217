"""Whose message is it? One tie after the other, strongest first, and what must never happen."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pikarelay.jobs.correlation import Ambiguous, Link, Match, match, normalise, related_messages, suspects
from pikarelay.jobs.job import Doubt, Job, PressPhase, Status
from pikarelay.jobs.messages import BotMessage, Kind
from tests.factories import PARENT_MESSAGE, a_message, a_press, a_result, a_running_job, pressed_by, snowflake
from tests.fakes.discord import USER

OTHER_MESSAGE = snowflake(timedelta(minutes=-3))
INTERACTION = snowflake(timedelta(milliseconds=300))
BEFORE = timedelta(minutes=-5)


def find(message: BotMessage, *jobs: Job, owners: dict[str, str] | None = None) -> Match | Ambiguous | None:
    return match(message, jobs, owners or {}, USER)


def haunt(message: BotMessage, *jobs: Job, ghosts: tuple[Job, ...]) -> Match | Ambiguous | None:
    return match(message, jobs, {}, USER, ghosts)


def running(job_id: str, prompt: str = "a red kite", **press: Any) -> Job:
    press = {"nonce": f"n-{job_id}", "phase": PressPhase.ACCEPTED} | press
    return a_running_job(job_id, prompt=prompt, press=a_press(**press))


A, B = running("A"), running("B")


def test_owned() -> None:
    """An edit of a job's message is that job's, also when the job has ended."""
    assert Match("gone", Link.OWNED) == find(a_result(), A, owners={a_result().id: "gone"})


def test_nonce() -> None:
    """The nonce tells two presses of one button apart."""
    assert Match("B", Link.NONCE) == find(pressed_by(B, a_message()), A, B)


def test_interaction() -> None:
    """Without its nonce, the interaction's id tells."""
    message = a_result(
        interaction_id=INTERACTION, interaction_user_id=USER, interacted_message_id=PARENT_MESSAGE
    )

    assert Match("B", Link.INTERACTION) == find(message, A, running("B", interaction_id=INTERACTION))


@pytest.mark.parametrize(
    ("field", "link"),
    [("original_response_message_id", Link.ORIGINAL), ("referenced_message_id", Link.REFERENCE)],
)
def test_follow_up(field: str, link: Link) -> None:
    """A follow-up on a job's message, and the bot's reply to it, are that job's."""
    message = a_result(**{field: OTHER_MESSAGE})

    assert Match("B", link) == find(message, A, B, owners={OTHER_MESSAGE: "B"})


def test_reply_of_a_person_is_nobodys() -> None:
    """Whoever answers the bot's message with a video of their own completes no job."""
    message = a_result(author_id="6666", referenced_message_id=OTHER_MESSAGE)

    assert None is find(message, A, owners={OTHER_MESSAGE: "A"})


def test_pressed_when_the_interaction_is_not_known() -> None:
    """The pressed message and the presser do, when one press fits."""
    message = a_result(
        interaction_id=INTERACTION, interaction_user_id=USER, interacted_message_id=PARENT_MESSAGE
    )
    elsewhere = running("B", parent_message_id=OTHER_MESSAGE)

    assert Match("A", Link.PRESSED) == find(message, A, elsewhere)
    assert Ambiguous(("A", "B")) == find(message, A, B)


def test_command_when_the_interaction_is_not_known() -> None:
    """What answers a command of ours and quotes the prompt is about the one command whose interaction is not known."""
    message = a_result(interaction_id=INTERACTION, interaction_user_id=USER, mentions=())
    typed = {"parent_message_id": None, "custom_id": None}
    command, same = running("C", **typed), running("D", **typed)
    known = running("D", interaction_id=snowflake(serial=1), **typed)

    assert Match("C", Link.COMMAND) == find(message, A, command, known, running("E", "a blue boat", **typed))
    assert Ambiguous(("C", "D")) == find(message, command, same)
    assert None is find(message, A)
    assert None is find(msgspec.structs.replace(message, interaction_id=snowflake(BEFORE)), command)
    assert None is find(msgspec.structs.replace(message, interaction_user_id="6666"), command)
    assert not Match("C", Link.COMMAND).is_identifying


def test_press_with_another_interaction_is_not_meant() -> None:
    """A press whose interaction is known is not found by the pressed message."""
    message = a_result(
        interaction_id=INTERACTION, interaction_user_id=USER, interacted_message_id=PARENT_MESSAGE
    )

    assert Match("B", Link.PRESSED) == find(message, running("A", interaction_id=snowflake(serial=1)), B)


def test_older_interaction_is_not_a_newer_press() -> None:
    """A follow-up on an interaction from before the press was sent is about an earlier press of that button."""
    message = a_result(
        interaction_id=snowflake(BEFORE), interaction_user_id=USER, interacted_message_id=PARENT_MESSAGE
    )

    assert None is find(message, A)


def test_nonce_of_an_ended_press_is_not_a_newer_one() -> None:
    """The direct answer to a press that was cancelled does not become the next press's."""
    assert None is find(pressed_by(running("ended"), a_message()), A)


def test_interaction_of_somebody_else() -> None:
    """A bot's answer to another person is nobody's, though it quotes the same prompt and mentions us."""
    message = a_result(
        interaction_id=INTERACTION, interaction_user_id="6666", interacted_message_id=PARENT_MESSAGE
    )

    assert None is find(message, A)


def test_parent() -> None:
    """A reply to the pressed message is the one press's of it."""
    message = a_result(referenced_message_id=PARENT_MESSAGE, mentions=(), content="done")
    elsewhere = running("B", parent_message_id=OTHER_MESSAGE)

    assert Match("A", Link.PARENT) == find(message, A, elsewhere, owners={PARENT_MESSAGE: "parent"})
    assert Ambiguous(("A", "B")) == find(message, A, B, owners={PARENT_MESSAGE: "parent"})


def test_text() -> None:
    """A plain message that mentions us and quotes the prompt is the one job's with that prompt."""
    assert Match("A", Link.TEXT) == find(a_message(), A, running("B", "a blue boat"))
    assert not Match("A", Link.TEXT).is_identifying


def test_equal_prompts_are_ambiguous() -> None:
    """Two running jobs with one prompt: a plain result is neither's."""
    assert Ambiguous(("A", "B")) == find(a_result(), A, B)


@pytest.mark.parametrize("order", [("cat", "mat"), ("mat", "cat")])
def test_longest_quote_wins(order: tuple[str, str]) -> None:
    """Of prompts contained in one another, the longest that is quoted is meant, in any order."""
    prompts = {"cat": "cat", "mat": "a cat on a mat"}
    jobs = [running(name, prompts[name]) for name in order]

    assert Match("mat", Link.TEXT) == find(a_result(content=f"<@{USER}> Prompt: A cat, on a mat"), *jobs)
    assert Match("cat", Link.TEXT) == find(a_result(content=f"<@{USER}> Prompt: cat"), *jobs)


def test_prompt_in_the_bots_own_words_takes_nothing() -> None:
    """A prompt of the words with which the bot frames any prompt does not win over the prompt that is quoted."""
    jobs = running("A", "creation job"), running("B", "dog")
    message = a_message(content=f"<@{USER}> Creation job queued. (Prompt: dog)")

    assert Ambiguous(("A", "B")) == find(message, *jobs)


def test_job_without_a_prompt_loses_to_nobody() -> None:
    """What is said about a job without a prompt may contain another's in the bot's own words."""
    message = a_result(content=f"<@{USER}> Image: 1 Attachment")

    assert Ambiguous(("A", "B")) == find(message, running("A", ""), running("B", "image"))


def test_mention_is_no_quotation() -> None:
    """The number of whoever is mentioned is not taken for a prompt of digits."""
    assert None is find(a_result(content=f"<@{USER}> Prompt: a dog"), running("A", USER[:2]))


@pytest.mark.parametrize(
    "its",
    [
        {"author_id": "6666"},
        {"id": snowflake(BEFORE)},
        {"id": "no id"},
        {"mentions": ("6666",)},
        {"content": f"<@{USER}> Prompt: a green hat"},
    ],
    ids=["author", "floor", "no snowflake", "mention", "quote"],
)
def test_text_alone_needs_everything(its: dict[str, Any]) -> None:
    """Without the bot, a later id, the mention or the quote, a plain message is nobody's."""
    assert None is find(a_message(**its), A)


def test_foreign_presser() -> None:
    """What one Discord user sees is never another user's job, not even by nonce."""
    assert None is match(pressed_by(A, a_message()), [A], {}, "6666")


def test_queued_is_said_once() -> None:
    """A job that shows a message takes no other plain note without an ending, and does take its result."""
    told = msgspec.structs.replace(A, message_id=OTHER_MESSAGE)

    assert None is find(a_message(), told)
    assert Match("A", Link.TEXT) == find(a_result(), told)


def test_acknowledged_job_still_hears_that_it_is_queued() -> None:
    """A hidden acknowledgement binds the press; the plain note that follows is still the job's first message."""
    assert Match("A", Link.TEXT) == find(a_message(), running("A", phase=PressPhase.BOUND))


def in_doubt(job: Job, *others: str, note: str = OTHER_MESSAGE) -> Job:
    """Return the job with a note that may have announced it, or the others."""
    doubt = Doubt(message_id=note, job_ids=(job.job_id, *others))
    press = msgspec.structs.replace(job.press, phase=PressPhase.BOUND, weak=True, doubts=(doubt,))
    return msgspec.structs.replace(job, press=press)


def test_note_that_was_left_open_is_no_clearer_later() -> None:
    """A note that two jobs fitted is not the second's when the first is gone."""
    note = a_message()
    doubtful = in_doubt(A, "B", note=note.id)

    assert Ambiguous(("A",)) == find(note, doubtful)
    assert Ambiguous(("A",)) == find(note, doubtful, in_doubt(running("B", "a blue boat"), "A", note=note.id))


def test_new_note_for_a_job_in_doubt() -> None:
    """A note that fits one job in doubt, and none of those that it was in doubt with, is its first."""
    other = in_doubt(running("B", "a blue boat"), "A")

    assert Match("A", Link.TEXT) == find(a_message(), in_doubt(A, "B"), other)


def test_new_note_while_one_in_doubt_has_gone() -> None:
    """A note may be late news of a job that was in doubt as well and has gone, so it is left open."""
    assert Ambiguous(("A",)) == find(a_message(), in_doubt(A, "B"))


def test_suspects_are_told_once() -> None:
    """A note that is left open puts each job without a message in doubt, and does so once."""
    told = msgspec.structs.replace(A, message_id=OTHER_MESSAGE)
    note, found = a_message(id=OTHER_MESSAGE), Ambiguous(("A", "B"))

    assert [A, B] == suspects(note, found, [A, B])
    assert [B] == suspects(note, found, [in_doubt(A, "B"), B])
    assert [B] == suspects(note, found, [told, B])
    assert [] == suspects(a_result(), found, [A, B])


@pytest.mark.parametrize("field", ["original_response_message_id", "referenced_message_id"])
def test_follow_up_on_an_ended_job_is_not_anothers(field: str) -> None:
    """What is tied to a job that has ended is not given to one that runs with the same prompt."""
    assert None is find(a_result(**{field: OTHER_MESSAGE}), A, owners={OTHER_MESSAGE: "ended"})


@pytest.mark.parametrize("kind", Kind)
def test_stronger_tie_wins(kind: Kind) -> None:
    """Each tie wins over all below it, whatever the message says and whatever the order of the jobs."""
    ties: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({a_result().id: "A"}, {}),
        ({}, {"nonce": "n-A"}),
        ({}, {"interaction_id": INTERACTION}),
        ({"11": "A"}, {"original_response_message_id": "11"}),
        ({"12": "A"}, {"referenced_message_id": "12"}),
        ({}, {}),
    ]
    by_text = running("B", "a red kite")
    first = running("A", "something else", interaction_id=INTERACTION)
    for owners, its in ties[:-1]:
        for jobs in ((first, by_text), (by_text, first)):
            found = find(a_result(kind=kind, **its), *jobs, owners=owners)

            assert isinstance(found, Match)
            assert (found.job_id, found.is_identifying) == ("A", True)


def test_related_messages_are_those_with_owners() -> None:
    """A message asks for its own owner, and those of what it follows up on."""
    message = a_message(id="1", original_response_message_id="2", referenced_message_id="3")

    assert related_messages(message) == ("1", "2", "3")
    assert related_messages(a_message(id="1")) == ("1",)


def ghost(phase: PressPhase, job_id: str = "G", **press: Any) -> Job:
    return msgspec.structs.replace(running(job_id, phase=phase, **press), status=Status.CANCELLED)


BOUND, TAKEN, DOUBTFUL = (ghost(phase) for phase in (PressPhase.BOUND, PressPhase.ACCEPTED, PressPhase.SENT))
ANNOUNCED = running("A", phase=PressPhase.BOUND)


@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED, PressPhase.BOUND])
def test_ghost_is_identified_like_any_job(phase: PressPhase) -> None:
    """What names the press of an ended job is that job's, whatever runs."""
    gone = ghost(phase, interaction_id=INTERACTION)

    assert Match("G", Link.NONCE) == haunt(pressed_by(gone, a_result()), A, ghosts=(gone,))
    assert Match("G", Link.INTERACTION) == haunt(a_result(interaction_id=INTERACTION), A, ghosts=(gone,))


@pytest.mark.parametrize("left", [BOUND, TAKEN, DOUBTFUL])
@pytest.mark.parametrize("message", [a_message(), a_result()], ids=lambda m: m.kind.value)
def test_ghost_alone_gets_what_fits(left: Job, message: BotMessage) -> None:
    """When nothing that runs fits, the message is the ghost's."""
    assert Match("G", Link.TEXT) == haunt(message, running("A", "a blue boat"), ghosts=(left,))


@pytest.mark.parametrize(
    ("message", "runs", "left", "whose"),
    [
        (a_result(), ANNOUNCED, BOUND, None),
        (a_message(), A, BOUND, None),
        (a_message(), A, TAKEN, None),
        (a_result(), A, TAKEN, None),
        (a_result(), ANNOUNCED, TAKEN, "A"),
        (a_message(), A, DOUBTFUL, "A"),
        (a_result(), A, DOUBTFUL, "A"),
        (a_message(), running("A", phase=PressPhase.SENT), DOUBTFUL, None),
    ],
    ids=[
        "announced, both", "first word, ghost has more to say", "first word, both taken", "result, neither announced",
        "result, only one announced", "first word, one in doubt", "result, one in doubt", "both in doubt",
    ],
)  # fmt: skip
def test_ghost_in_the_way(message: BotMessage, runs: Job, left: Job, whose: str | None) -> None:
    """A ghost makes a message ambiguous unless its press is in doubt, or unheard of, where the other's is not."""
    expected = Ambiguous(("A", "G")) if whose is None else Match(whose, Link.TEXT)

    assert expected == haunt(message, runs, ghosts=(left,))


def test_second_note_of_a_running_job_is_not_a_ghosts_first() -> None:
    """A plain note that quotes a running job's prompt again is nobody's first word, unless a ghost may be waiting for it."""
    told = msgspec.structs.replace(ANNOUNCED, message_id=OTHER_MESSAGE)

    assert None is haunt(a_message(), told, ghosts=(DOUBTFUL,))
    assert Ambiguous(("A", "G")) == haunt(a_message(), told, ghosts=(TAKEN,))


def test_ghost_of_another_user() -> None:
    """What one Discord user sees is not about another's ghost."""
    assert None is haunt(a_result(), ghosts=(ghost(PressPhase.BOUND, user_id="6666"),))


def test_ghost_shares_the_pressed_message() -> None:
    """A reply to a message that was pressed twice may be about either press, also after one was cancelled."""
    message = a_result(referenced_message_id=PARENT_MESSAGE, mentions=())

    assert Ambiguous(("A", "G")) == haunt(message, ANNOUNCED, ghosts=(BOUND,))


@pytest.mark.parametrize(
    ("prompt", "said"),
    [("Red  kite!", "red kite"), ("STRASSE", "straße"), ("\ufb01sh", "fish"), ("a-b", "a\u2013b")],
)
def test_normalise_forgives_respacing(prompt: str, said: str) -> None:
    """Bots change spaces, letter case, dashes and ligatures."""
    assert normalise(prompt) == normalise(said)
