"""How an application takes the state that lives outside its hosts: variables, and what their names must be. Pure."""

import re
from collections.abc import Iterator, Mapping
from string import Template
from typing import Any, Final
from urllib.parse import quote, urlsplit

from rules import Problem
from sections import App

MEDIA_PARTS: Final = {
    "bucket": "bucket",
    "endpoint": "endpoint",
    "region": "region",
    "accessKey": "access_key",
    "secretKey": "secret_key",
}
"""What is to be known of a bucket: key of app.mediaVariables, and its name in what the store says of itself."""
BROKER_PORT: Final = 5672
HOST_TRUST: Final = "/etc/ssl/certs/ca-certificates.crt"
"""What a host itself trusts: an application's container knows only the authorities that its image had."""
NOT_HERE: Final = "not-on-this-host"
"""Stands for a secret that Compose wants to read and no service of the host uses."""

_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_HOST: Final = "HOST"


def environment(app: App, pools: Mapping[str, str], media: Mapping[str, str], broker: str, ca: str) -> dict[str, str]:
    """Variables of a web host whose state is outside. `pools` are URLs by database, `media` what the bucket says of
    itself, `ca` the path of the database's CA.
    """
    found = {app.database_urls[database]: url for database, url in pools.items()}
    if app.database_ca_variable:
        found[app.database_ca_variable] = ca
    if app.media_ca_variable:
        found[app.media_ca_variable] = HOST_TRUST
    found |= {app.media_variables[key]: media[part] for key, part in MEDIA_PARTS.items()}
    found[app.broker_variable] = broker
    return found | {app.scale_variables[service]: "0" for service in (app.database_service, app.broker_service)}


def database_url(app: App, pool: Mapping[str, Any]) -> str:
    """Address of a pool. An application that takes no CA file is at least made to use TLS."""
    encryption = "" if app.database_ca_variable else "?sslmode=require"
    user, password = (quote(pool[key], safe="") for key in ("user", "password"))
    return f"postgresql://{user}:{password}@{pool['host']}:{int(pool['port'])}/{pool['name']}{encryption}"


def broker_url(app: App, host: str, secrets: Mapping[str, str]) -> str:
    """Address of the broker that runs on `host`."""
    quoted = {name: quote(value, safe="") for name, value in secrets.items()}
    return Template(app.broker_url).substitute({**quoted, _HOST: host})


def broker_port(app: App) -> int:
    """The port in the address of the broker."""
    return urlsplit(Template(app.broker_url).safe_substitute({_HOST: "host"})).port or BROKER_PORT


def broker_environment(app: App, address: str, secrets: Mapping[str, str], used: frozenset[str]) -> dict[str, str]:
    """Variables of the broker's own host, whose private address is `address`: the secrets that it uses, no others."""
    known = {name: value if name in used else NOT_HERE for name, value in secrets.items()}
    return {**known, app.broker_listen_variable: f"{address}:{broker_port(app)}"}


def problems(app: App, text: str, services: frozenset[str], *, own_broker: bool) -> Iterator[Problem]:
    """What is wrong with the names by which `app` takes its state; its Compose file has `text` and `services`.

    `own_broker` says that the broker runs on a host of the stack, and not at somebody else's.
    """
    yield from _missing(app, own_broker=own_broker)
    for key, variable in _variables(app):
        if not _VARIABLE.fullmatch(variable):
            yield Problem(f"app.{key}", variable, "an environment variable has A-Z, 0-9 and _", "rename it")
        elif text and not re.search(rf"\$\{{?{variable}\b", text):
            fix = f"let the Compose file take it: ${{{variable}:-}}"
            yield Problem(f"app.{key}", variable, f"{app.compose_file} does not read this variable", fix)
    for key, values, known in (
        ("databaseUrls", app.database_urls, app.databases),
        ("mediaVariables", app.media_variables, tuple(MEDIA_PARTS)),
        ("scaleVariables", app.scale_variables, tuple(sorted(services))),
    ):
        for name in values:
            if known and name not in known:
                yield Problem(f"app.{key}.{name}", values[name], "no such name", f"one of {', '.join(known)}")
    if app.broker_service and services and app.broker_service not in services:
        listed = ", ".join(sorted(services))
        yield Problem("app.brokerService", app.broker_service, "the Compose file has no such service", listed)
    yield from _address(app)


def _variables(app: App) -> Iterator[tuple[str, str]]:
    """Every variable that the application names, with the key that names it."""
    for key, values in (
        ("databaseUrls", app.database_urls),
        ("mediaVariables", app.media_variables),
        ("scaleVariables", app.scale_variables),
    ):
        yield from ((f"{key}.{name}", variable) for name, variable in values.items())
    single = {
        "databaseCaVariable": app.database_ca_variable,
        "mediaCaVariable": app.media_ca_variable,
        "brokerVariable": app.broker_variable,
        "brokerListenVariable": app.broker_listen_variable,
        "drainVariable": app.drain_variable,
        "migrationsVariable": app.migrations_variable,
    }
    yield from ((key, variable) for key, variable in single.items() if variable)


def _missing(app: App, *, own_broker: bool) -> Iterator[Problem]:
    rule = "needed where the state lives outside the host: the application takes it by this"
    wanted = {f"databaseUrls.{name}": app.database_urls.get(name) for name in app.databases}
    wanted |= {f"mediaVariables.{part}": app.media_variables.get(part) for part in MEDIA_PARTS}
    wanted |= {"brokerService": app.broker_service, "brokerVariable": app.broker_variable}
    if own_broker:
        wanted |= {"brokerUrl": app.broker_url, "brokerListenVariable": app.broker_listen_variable}
    wanted |= {f"scaleVariables.{name}": app.scale_variables.get(name) for name in _leaving(app)}
    for key, value in wanted.items():
        if not value:
            yield Problem(f"app.{key}", "(missing)", rule, "Pulumi.yaml shows a complete example")


def _leaving(app: App) -> list[str]:
    return [name for name in (app.database_service, app.broker_service) if name]


def _address(app: App) -> Iterator[Problem]:
    """The broker's address is a URL whose only blanks are the host and secrets of the application."""
    if not app.broker_url:
        return
    known = {_HOST, *app.secrets}
    names = {found for each in Template.pattern.findall(app.broker_url) for found in each[1:3] if found}
    fix = f"write it like amqp://app:${{PASSWORD}}@${{{_HOST}}}:{BROKER_PORT}/app"
    if unknown := sorted(names - known):
        rule = f"{', '.join(unknown)} is neither {_HOST} nor one of app.secrets"
        yield Problem("app.brokerUrl", app.broker_url, rule, fix)
    elif _HOST not in names or not re.fullmatch(r"[a-z]+://\S+", app.broker_url):
        yield Problem("app.brokerUrl", app.broker_url, f"an address with ${{{_HOST}}} in it", fix)
