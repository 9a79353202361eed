"""What the listeners of this package log: their own faults, never what a peer sent that is no HTTP."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


def listener_logger(name: str) -> logging.Logger:
    """
    Return the logger of this name for an `aiohttp.web.AppRunner`.

    A request that is not HTTP was answered with 400. aiohttp logs it as an error with a traceback that quotes the
    request, and with it the signature in a URL.
    """
    logger = logging.getLogger(name)
    if _worth_a_line not in logger.filters:
        logger.addFilter(_worth_a_line)
    return logger


def _worth_a_line(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
