"""
The simulated Pika: a bot that makes small real videos out of prompts, in many manners of answering.

How the real bot answers is only partly known, so this one can answer in each way that generator bots of its kind
have been seen to (`behaviours`), chosen per command or drawn from a seed. All its prose is in `texts.toml`.
"""

from localdiscord.apps.pika.bot import Pika

__all__ = ["Pika"]
