"""A load balancer as it is: real requests through HAProxy to two droplets, one of which is killed; names; a restart."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.localcloud.droplet_support import Droplet, RealCloud, docker, new_cloud, reaches, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker
NAME = "shop.test"
INTERVAL, UNHEALTHY, HEALTHY = 3, 2, 2
SERVER = """
import http.server, json, socket, threading
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        about = {name.lower(): value for name, value in self.headers.items()} | {"name": socket.gethostname()}
        body = json.dumps(about).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
def raw(connection):
    with connection:
        line = connection.makefile("rb").readline()
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + line)
def listen():
    server = socket.create_server(("", 8081))
    while True:
        threading.Thread(target=raw, args=(server.accept()[0],)).start()
threading.Thread(target=listen, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8080), Web).serve_forever()
"""
WEB = {
    "write_files": [
        {"path": "/srv/web.py", "content": SERVER},
        {
            "path": "/etc/systemd/system/web.service",
            "content": "[Service]\nExecStart=/usr/bin/python3 /srv/web.py\n[Install]\nWantedBy=multi-user.target\n",
        },
    ],
    "runcmd": [["systemctl", "enable", "--now", "web"]],
}


@dataclass
class Site:
    """Two droplets behind a balancer with a certificate, and a client that trusts its authority."""

    cloud: RealCloud
    pair: tuple[Droplet, Droplet]
    vpc: str
    certificate: str
    body: dict[str, Any]
    identity: str

    @property
    def path(self) -> str:
        return f"/v2/load_balancers/{self.identity}"

    @property
    def address(self) -> str:
        return self.cloud.call("GET", self.path)["load_balancer"]["ip"]

    @property
    def container(self) -> str:
        return f"localcloud-{self.cloud.identity}-balancer-{self.identity}"

    def change(self, **fields: Any) -> None:
        self.body |= fields
        self.cloud.call("PUT", self.path, self.body)

    def ask(self, address: str, *, secure: bool = True, headers: dict[str, str] | None = None) -> Answer:
        """Ask once, on a connection of its own. Raises OSError or http.client.HTTPException when there is no answer."""
        raw = socket.create_connection((address, 443 if secure else 80), 10)
        trust = ssl.create_default_context(cafile=self.cloud.about["web_ca_cert"])
        connection = http.client.HTTPConnection(NAME)
        connection.sock = trust.wrap_socket(raw, server_hostname=NAME) if secure else raw
        try:
            connection.request("GET", "/", headers={"Host": NAME, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def about(self) -> dict[str, Any]:
        assert self.status == 200, (self.status, self.text)
        return json.loads(self.text)


@dataclass
class Load:
    """Requests one after another from several clients until it is ended; what failed, and who answered."""

    site: Site
    address: str
    ended: threading.Event = field(default_factory=threading.Event)
    hosts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _run(self) -> None:
        while not self.ended.wait(0.05):
            try:
                self.hosts.append(self.site.ask(self.address).about["name"])
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    with new_cloud(tmp_path_factory.mktemp("balancer")) as real:
        yield real


@pytest.fixture(scope="module")
def site(cloud: RealCloud) -> Site:
    fields = {"name": "n", "region": "fra1", "ip_range": str(cloud.vpc_range)}
    vpc = cloud.call("POST", "/v2/vpcs", fields)["vpc"]["id"]
    data = f"#cloud-config\n{json.dumps(WEB)}"
    first, second = (cloud.droplet(name, vpc_uuid=vpc, tags=["web"], user_data=data) for name in ("web-1", "web-2"))
    cloud.call("POST", "/v2/domains", {"name": NAME})
    asked = {"name": "c", "type": "lets_encrypt", "dns_names": [NAME]}
    certificate = cloud.call("POST", "/v2/certificates", asked)["certificate"]["id"]
    path = f"/v2/certificates/{certificate}"
    wait("the certificate", lambda: cloud.call("GET", path)["certificate"]["state"] == "verified")
    rules = [
        {"entry_protocol": "https", "entry_port": 443, "target_protocol": "http", "target_port": 8080,
         "certificate_id": certificate},
        {"entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 8080},
    ]  # fmt: skip
    check = {
        "protocol": "http", "port": 8080, "path": "/health", "check_interval_seconds": INTERVAL,
        "response_timeout_seconds": 3, "healthy_threshold": HEALTHY, "unhealthy_threshold": UNHEALTHY,
    }  # fmt: skip
    body = {
        "name": "lb", "region": "fra1", "vpc_uuid": vpc, "tag": "web", "forwarding_rules": rules, "health_check": check,
        "redirect_http_to_https": True,
    }  # fmt: skip
    identity = cloud.call("POST", "/v2/load_balancers", body)["load_balancer"]["id"]
    found = Site(cloud, (first, second), vpc, certificate, body, identity)
    wait("the balancer", lambda: found.address)
    for droplet in found.pair:
        droplet.ready()
    wait("both hosts behind it", lambda: both_answer(found))
    return found


def both_answer(site: Site) -> bool:
    answers = [site.ask(site.address) for _ in range(4)]
    return {json.loads(one.text)["name"] for one in answers if one.status == 200} == {"web-1", "web-2"}


def resolve(cloud: RealCloud, name: str, *, tcp: bool = False) -> dns.message.Message:
    host, _, port = cloud.about["dns"].partition(":")
    over = dns.query.tcp if tcp else dns.query.udp
    return over(dns.message.make_query(name, "A"), host, timeout=5, port=int(port))


def test_requests_reach_both_hosts_over_https_and_only_through_the_balancer(site: Site) -> None:
    about = [site.ask(site.address, headers={"X-Forwarded-For": "198.51.100.1"}).about for _ in range(4)]
    assert {one["name"] for one in about} == {"web-1", "web-2"}
    gateway = site.cloud.about["gateway"]
    assert {one["x-forwarded-proto"] for one in about} == {"https"}
    assert {one["x-forwarded-for"] for one in about} <= {f"198.51.100.1, {gateway}", gateway}
    plain = site.ask(site.address, secure=False)
    assert (plain.status, plain.headers["location"]) == (307, f"https://{NAME}/")
    inbound = [
        {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}},
        {"protocol": "tcp", "ports": "8080-8081", "sources": {"load_balancer_uids": [site.identity]}},
    ]
    outbound = [
        {"protocol": one, "ports": "all", "destinations": {"addresses": ["0.0.0.0/0"]}} for one in ("tcp", "udp")
    ]
    fields = {"name": "fw", "inbound_rules": inbound, "outbound_rules": outbound, "tags": ["web"]}
    assert reaches(site.pair[0].address(), 8080)
    site.cloud.call("POST", "/v2/firewalls", fields)
    for kind in ("public", "private"):
        assert not reaches(site.pair[0].address(kind), 8080)
    assert both_answer(site)


def test_names_are_answered_to_droplets_and_to_this_machine_as_the_records_say(site: Site) -> None:
    cloud, path = site.cloud, f"/v2/domains/{NAME}/records"
    fields = {"type": "A", "name": "@", "data": site.pair[0].address(), "ttl": 60}
    number = cloud.call("POST", path, fields)["domain_record"]["id"]
    assert resolve(cloud, NAME).answer[0].to_text().endswith(site.pair[0].address())
    cloud.call("PUT", f"{path}/{number}", {"data": site.address, "ttl": 60})
    for tcp in (False, True):
        assert resolve(cloud, NAME, tcp=tcp).answer[0].to_text() == f"{NAME}. 60 IN A {site.address}"
    assert site.pair[0].ssh(f"getent ahostsv4 {NAME} | cut -d ' ' -f 1 | sort -u") == site.address
    assert site.pair[0].ssh("getent hosts www.shop.test || echo none") == "none"
    assert site.pair[0].ssh("getent hosts s3.eu-central-1.amazonaws.com").split()[0] == cloud.about["gateway"]
    assert resolve(cloud, f"no.{NAME}").rcode() == dns.rcode.NXDOMAIN


def test_a_client_stays_with_its_host_by_a_cookie_as_long_as_that_host_lives(site: Site) -> None:
    sessions = {"type": "cookies", "cookie_name": "DO-LB", "cookie_ttl_seconds": 300}
    site.change(sticky_sessions=sessions)
    first = site.ask(site.address)
    cookie = first.headers["set-cookie"]
    assert "Max-Age=300" in cookie
    sent = {"Cookie": cookie.partition(";")[0]}
    assert {site.ask(site.address, headers=sent).about["name"] for _ in range(6)} == {first.about["name"]}
    site.change(sticky_sessions={"type": "none"})


def test_hosts_hear_who_the_client_is_by_the_proxy_protocol(site: Site) -> None:
    before = site.body["forwarding_rules"]
    rules = [{**rule, "target_port": 8081} for rule in before]
    site.change(forwarding_rules=rules, enable_proxy_protocol=True)
    line = site.ask(site.address).text
    assert re.fullmatch(rf"PROXY TCP4 {site.cloud.about['gateway']} {site.address} \d+ 443\r?\n", line), line
    site.change(forwarding_rules=before, enable_proxy_protocol=False)


def test_no_request_fails_while_settings_change(site: Site) -> None:
    with Load(site, site.address) as load:
        wait("the first answers", lambda: len(load.hosts) > 20)
        for seconds in (90, 120, 60):
            site.change(http_idle_timeout_seconds=seconds)
        resources = {"resources": [{"resource_id": str(site.pair[1].number), "resource_type": "droplet"}]}
        site.cloud.call("DELETE", "/v2/tags/web/resources", resources)
        seen = len(load.hosts)
        wait("answers of the one that is left", lambda: len(load.hosts) > seen + 40)
        assert set(load.hosts[seen + 10 :]) == {"web-1"}, "who loses the tag gets no new requests"
        site.cloud.call("POST", "/v2/tags/web/resources", resources)
        wait("both hosts", lambda: "web-2" in load.hosts[-20:])
    assert load.failures == []


def test_a_killed_host_costs_few_requests_and_comes_back_by_itself(site: Site) -> None:
    with Load(site, site.address) as load:
        wait("the first answers", lambda: {"web-1", "web-2"} <= set(load.hosts))
        docker("kill", site.cloud.container(site.pair[1]))
        killed = time.monotonic()
        wait("the end of failures", lambda: set(load.hosts[-40:]) == {"web-1"})
        assert time.monotonic() - killed < INTERVAL * (UNHEALTHY + 1) + 5
        lost = len(load.failures)
        # Each of the four clients may be at the host when it dies, and no request after it is lost.
        assert lost <= 4, load.failures
        seen = len(load.hosts)
        wait("more answers", lambda: len(load.hosts) > seen + 40)
        docker("start", site.cloud.container(site.pair[1]))
        wait("the host in use again", lambda: "web-2" in load.hosts[-20:])
        assert len(load.failures) == lost


def test_a_balancer_outlives_the_daemon_and_follows_the_next_one(site: Site) -> None:
    cloud = site.cloud
    with Load(site, site.address) as load:
        docker_id = docker("inspect", "--format", "{{.Id}}", site.container)
        subprocess.run(["kill", "-9", str(cloud.about["pid"])], check=True)
        seen = len(load.hosts)
        wait("answers without the daemon", lambda: len(load.hosts) > seen + 20)
        cloud.up()
        assert docker("inspect", "--format", "{{.Id}}", site.container) == docker_id
        site.change(http_idle_timeout_seconds=45)
        wait("answers of both", lambda: set(load.hosts[-20:]) == {"web-1", "web-2"})
    assert load.failures == []
    assert "timeout client 45s" in docker("exec", site.container, "cat", "/run/localcloud/haproxy.cfg")
    assert resolve(cloud, NAME).answer[0].to_text().endswith(site.address)


def test_all_of_a_balancer_is_gone_when_it_is_deleted(site: Site) -> None:
    cloud, address = site.cloud, site.address
    assert site.container in docker("ps", "--format", "{{.Names}}")
    cloud.call("DELETE", site.path)
    wait("the end of the container", lambda: site.container not in docker("ps", "--all", "--format", "{{.Names}}"))
    assert not reaches(address, 443)
    cloud.call("DELETE", f"/v2/certificates/{site.certificate}")
    assert not list((cloud.directory / "balancers").iterdir())
