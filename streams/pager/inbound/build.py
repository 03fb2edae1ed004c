"""Puts together what hears answers, where the configuration asks for it."""

import asyncio
from collections.abc import Mapping
from time import time

import structlog

from streams.control import ControlSender
from streams.errors import BrokerError
from streams.pager.address import host_and_port
from streams.pager.inbound import pagerduty, slack
from streams.pager.inbound.desk import Desk
from streams.pager.inbound.server import Door
from streams.pager.inbound.words import Provider
from streams.pager.metrics import PagerMetrics
from streams.pager.outbox import Outbox
from streams.secrets import Secret
from streams.sections import InboundSettings, Settings
from streams.signing import signers

log = structlog.get_logger(__name__)

CONNECT_AGAIN_S = 5.0


async def hear(settings: Settings, outbox: Outbox, metrics: PagerMetrics) -> None:
    """For ever, also where nothing is to be heard."""
    inbound = settings.pager.inbound
    if inbound.listen is None:
        await asyncio.Event().wait()
        return
    sender = ControlSender(settings.kafka, signers(settings.control))
    desk = Desk(secrets(inbound), outbox.whose, sender, metrics, time)
    try:
        await asyncio.gather(Door(host_and_port(inbound.listen), desk).serve(), _connect(sender))
    finally:
        await sender.stop()


def secrets(inbound: InboundSettings) -> Mapping[Provider, Secret]:
    """Of those that are to be heard."""
    given: Mapping[Provider, Secret | None] = {
        pagerduty.NAME: inbound.pagerduty_secret,
        slack.NAME: inbound.slack_secret,
    }
    return {provider: secret for provider, secret in given.items() if secret}


async def _connect(sender: ControlSender) -> None:
    """Before the first answer comes: Slack does not wait long enough for a connection to be made."""
    while True:
        try:
            return await sender.connect()
        except BrokerError as error:
            log.warning("brokers do not answer", reason=str(error))
            await asyncio.sleep(CONNECT_AGAIN_S)
