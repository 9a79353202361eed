"""No public object shows a secret: no default, docstring, repr or pickled value, wherever secrets come from."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from transfer import AwsCredentials, Destination, Engine, InvalidConfig, Job, RegistryAccess, Server, TransferConfig
from transfer.auth.credentials import Login
from transfer.mirror import MirrorConfig, MirrorRule, RegistryConfig
from transfer.server.sigv4 import Key

CANARY = "canary-5ec2e7"

# Prints all that help() and completion show of every module.
WALK = """
import importlib, inspect, pkgutil, transfer

for found in pkgutil.walk_packages(transfer.__path__, "transfer."):
    if found.name.endswith("__main__"):
        continue
    module = importlib.import_module(found.name)
    for name, one in vars(module).items():
        print(found.name, name, repr(one) if not inspect.ismodule(one) else "", inspect.getdoc(one))
        members = [one, *vars(one).values()] if inspect.isclass(one) else [one]
        for member in filter(callable, members):
            try:
                print(inspect.signature(member))
            except (TypeError, ValueError, NameError):
                pass
"""


def test_signatures_docstrings_and_module_values_hold_none() -> None:
    names = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "DOCKER_AUTH_CONFIG", "REGISTRY_PASSWORD"]
    environment = {**os.environ, **dict.fromkeys(names, f"https://user:{CANARY}@proxy.example")}
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WALK], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "transfer.mirror.api mirror" in shown
    assert CANARY not in shown


ACCESS = RegistryAccess(login=f"user:{CANARY}")
KEYS = AwsCredentials(access_key_id="id", secret_access_key=CANARY, session_token=CANARY)
REGISTRY = RegistryConfig(username="user", password=CANARY)
RULE = MirrorRule(source="a.example/app", targets=("b.example/app",))

VALUES: dict[str, Callable[[], Any]] = {
    "access": lambda: ACCESS,
    "keys": lambda: KEYS,
    "destination": lambda: Destination("b.example/app:v1", ACCESS),
    "job": lambda: Job("a.example/app:v1", (Destination("b.example/app:v1", ACCESS),), access=ACCESS),
    "registry of a mirror": lambda: REGISTRY,
    "mirror": lambda: MirrorConfig(mappings=(RULE,), registries={"a.example": REGISTRY}),
    "login": lambda: Login(username="user", password=CANARY, identity_token=CANARY),
    "key of a server": lambda: Key("id", CANARY, "us-east-1", "ecr"),
    "engine": lambda: Engine(TransferConfig(journal=False), credentials=KEYS),
    "server": lambda: Server(access_key="id", secret_key=CANARY),
}


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_no_repr_holds_one(make: Callable[[], Any]) -> None:
    value = make()
    assert CANARY not in f"{value!r} {value}"


@pytest.mark.parametrize("name", ["access", "keys", "destination", "job", "registry of a mirror", "mirror"])
def test_what_holds_one_is_not_pickled(name: str) -> None:
    with pytest.raises(InvalidConfig, match="is a secret and is not pickled") as caught:
        pickle.dumps(VALUES[name]())
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        RegistryAccess(plain_http=True, profile="p"),
        AwsCredentials(profile="p", region="eu-west-1"),
        RegistryConfig(username="user", password="${REGISTRY_PASSWORD}"),
        Job("a.example/app:v1", (Destination("b.example/app:v1"),)),
        MirrorConfig(mappings=(RULE,), registries={"a.example": RegistryConfig(password_file="secret")}),
    ],
)
def test_what_holds_none_is_pickled(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
