"""The bot's commands: their names, and what each is given."""

from collections.abc import Mapping

from pikarelay.jobs.job import Job, Upload


def command_name(job: Job) -> str:
    """Return the slash command that the job's verb stands for."""
    return job.verb.value.removeprefix("pika-")


def command_options(job: Job) -> Mapping[str, str | Upload]:
    """Return the command's options by name, without those that the caller left out."""
    options = {
        "prompt": job.prompt,
        "message": job.message_image or job.message,
        "font": job.font,
        "image": job.image,
    }
    return {name: value for name, value in options.items() if value is not None}
