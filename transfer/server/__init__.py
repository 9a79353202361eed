"""The embedded registry: speaks the ECR API on this machine, keeps layers as files and metadata in SQLite."""

from transfer.server.app import Server
from transfer.server.log import RequestLog, RequestRecord

__all__ = ["RequestLog", "RequestRecord", "Server"]
