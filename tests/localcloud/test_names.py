"""The name server of the account's domains, asked over sockets as any resolver asks."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from localcloud import nameserver
from localcloud.nameserver import NameServer
from localcloud.zones import Zones
from tests.localcloud.api_support import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS = [
    ({"type": "A", "name": "@", "data": "198.18.0.5", "ttl": 60}, "shop.test.", "A", ["198.18.0.5"]),
    ({"type": "AAAA", "name": "www", "data": "2001:db8::5", "ttl": 30}, "www.shop.test.", "AAAA", ["2001:db8::5"]),
    (
        {"type": "MX", "name": "@", "data": "mail.shop.test.", "priority": 10},
        "shop.test.",
        "MX",
        ["10 mail.shop.test."],
    ),
    ({"type": "TXT", "name": "@", "data": "v=spf1 -all"}, "shop.test.", "TXT", ['"v=spf1 -all"']),
    ({"type": "TXT", "name": "long", "data": "x" * 300}, "long.shop.test.", "TXT", [f'"{"x" * 255}" "{"x" * 45}"']),
    ({"type": "NS", "name": "sub", "data": "ns.other.test."}, "sub.shop.test.", "NS", ["ns.other.test."]),
    (
        {"type": "SRV", "name": "_sip._tcp", "data": "sip.shop.test.", "priority": 1, "weight": 2, "port": 5060},
        "_sip._tcp.shop.test.",
        "SRV",
        ["1 2 5060 sip.shop.test."],
    ),
    (
        {"type": "CAA", "name": "@", "data": "letsencrypt.org.", "flags": 0, "tag": "issue"},
        "shop.test.",
        "CAA",
        ['0 issue "letsencrypt.org"'],
    ),
    ({"type": "A", "name": "*.apps", "data": "198.18.0.7"}, "any.apps.shop.test.", "A", ["198.18.0.7"]),
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "cloud") as running:
        running.call("POST", "/v2/domains", {"name": "shop.test"})
        yield running


@pytest.fixture
def port(service: Service) -> Iterator[int]:
    with closing(NameServer(service.cloud.zones, "127.0.0.1", 0)) as server:
        yield server.port


def record(service: Service, **fields: Any) -> int:
    return service.call("POST", "/v2/domains/shop.test/records", fields)["domain_record"]["id"]


def ask(port: int, name: str, kind: str, *, tcp: bool = False, **options: Any) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)
    over = dns.query.tcp if tcp else dns.query.udp
    return over(query, "127.0.0.1", timeout=30, port=port)


def texts(answer: dns.message.Message) -> list[str]:
    return [data.to_text() for found in answer.answer for data in found]


def serial(port: int) -> int:
    [soa] = texts(ask(port, "shop.test", "SOA"))
    return int(soa.split()[2])


@pytest.mark.parametrize("case", RECORDS, ids=lambda case: f"{case[2]} {case[1]}")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_every_kind_of_record_is_answered(case: Any, tcp: bool, service: Service, port: int) -> None:
    fields, name, kind, wanted = case
    record(service, **fields)
    answer = ask(port, name, kind, tcp=tcp)
    assert texts(answer) == wanted
    assert answer.answer[0].ttl == fields.get("ttl", 1800), "as it was set"
    assert answer.flags & dns.flags.AA


def test_a_change_is_answered_from_the_end_of_the_call_on(service: Service, port: int) -> None:
    number = record(service, type="A", name="www", data="198.18.0.5", ttl=30)
    first = ask(port, "www.shop.test", "A")
    service.call("PUT", f"/v2/domains/shop.test/records/{number}", {"data": "198.18.0.6", "ttl": 60})
    changed = ask(port, "www.shop.test", "A")
    assert (texts(first), texts(changed)) == (["198.18.0.5"], ["198.18.0.6"])
    assert changed.answer[0].ttl == 60
    serials = [serial(port)]
    service.call("DELETE", f"/v2/domains/shop.test/records/{number}")
    assert ask(port, "www.shop.test", "A").rcode() == dns.rcode.NXDOMAIN
    serials.append(serial(port))
    assert serials[1] > serials[0], "who keeps a copy sees that it is old"
    service.call("DELETE", "/v2/domains/shop.test")
    assert ask(port, "shop.test", "SOA").rcode() == dns.rcode.REFUSED


def test_an_alias_comes_with_what_it_stands_for(service: Service, port: int) -> None:
    record(service, type="CNAME", name="www", data="shop.test.")
    record(service, type="A", name="@", data="198.18.0.5")
    assert texts(ask(port, "www.shop.test", "A")) == ["shop.test.", "198.18.0.5"]
    assert texts(ask(port, "www.shop.test", "CNAME")) == ["shop.test."]
    record(service, type="CNAME", name="out", data="elsewhere.example.")
    outside = ask(port, "out.shop.test", "A")
    assert (texts(outside), outside.rcode()) == (["elsewhere.example."], dns.rcode.NOERROR)
    record(service, type="CNAME", name="loop", data="loop.shop.test.")
    assert ask(port, "loop.shop.test", "A").rcode() == dns.rcode.NOERROR, "a loop ends"


def test_what_is_not_there_is_told_apart_from_what_has_no_such_record(service: Service, port: int) -> None:
    record(service, type="A", name="a.deep", data="198.18.0.5")
    for name in ("www.shop.test", "deep.shop.test", "shop.test"):
        answer = ask(port, name, "AAAA")
        assert answer.answer == []
        assert answer.rcode() == (dns.rcode.NXDOMAIN if name.startswith("www") else dns.rcode.NOERROR), name
        assert [one.rdtype for one in answer.authority] == [dns.rdatatype.SOA], (
            "a resolver keeps a no as long as it says"
        )
    assert ask(port, "example.org", "A").rcode() == dns.rcode.REFUSED
    assert sorted(texts(ask(port, "shop.test", "NS"))) == [f"ns{number}.digitalocean.com." for number in (1, 2, 3)]


def test_an_answer_that_is_too_long_for_a_datagram_is_asked_for_again(service: Service, port: int) -> None:
    for number in range(10):
        record(service, type="TXT", name="@", data=str(number) * 100)
    short = ask(port, "shop.test", "TXT", use_edns=False)
    assert short.flags & dns.flags.TC
    assert len(texts(ask(port, "shop.test", "TXT", tcp=True))) == 10
    assert len(texts(ask(port, "shop.test", "TXT", use_edns=0, payload=4096))) == 10


def test_a_number_that_only_one_protocol_can_have_is_not_the_one_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, made = list[int](), nameserver._Streams

    def refuse_twice(address: tuple[str, int], *rest: Any) -> Any:
        if len(taken) < 2:
            taken.append(address[1])
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return made(address, *rest)

    monkeypatch.setattr(nameserver, "_Streams", refuse_twice)
    with serving(tmp_path / "cloud") as running:
        with closing(NameServer(running.cloud.zones, "127.0.0.1", 0)) as server:
            assert len(taken) == 2
            assert ask(server.port, "shop.test", "SOA").rcode() == dns.rcode.REFUSED
        taken.clear()
        with pytest.raises(OSError, match="already in use"):
            NameServer(running.cloud.zones, "127.0.0.1", server.port)


def test_letters_case_does_not_count(service: Service, port: int) -> None:
    record(service, type="A", name="www", data="198.18.0.5")
    assert texts(ask(port, "WWW.Shop.Test", "A")) == ["198.18.0.5"]


def test_noise_is_not_answered_and_harms_nobody(service: Service, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noisy:
        noisy.sendto(b"\x00", ("127.0.0.1", port))
        noisy.sendto(bytes(40), ("127.0.0.1", port))
    with socket.create_connection(("127.0.0.1", port)) as noisy:
        noisy.sendall(b"\x00\x02xx")
        assert noisy.recv(10) == b""
    assert ask(port, "shop.test", "SOA").rcode() == dns.rcode.NOERROR


def test_answers_go_on_while_records_change(service: Service, port: int) -> None:
    number = record(service, type="A", name="www", data="198.18.0.1")
    ended, wrong = threading.Event(), list[str]()

    def look() -> None:
        while not ended.is_set():
            wrong.extend(text for text in [",".join(texts(ask(port, "www.shop.test", "A")))] if "198.18.0." not in text)

    thread = threading.Thread(target=look)
    thread.start()
    for last in range(2, 40):
        service.call("PUT", f"/v2/domains/shop.test/records/{number}", {"data": f"198.18.0.{last}"})
    ended.set()
    thread.join()
    assert wrong == [], "a record that is replaced is there at every moment"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "A", "name": "www", "data": "nowhere"}, "is no data of a A record"),
        ({"type": "AAAA", "name": "www", "data": "198.18.0.5"}, "is no data of a AAAA record"),
        ({"type": "A", "name": "a..b", "data": "198.18.0.5"}, "is no data of a A record"),
        ({"type": "CNAME", "name": "@", "data": "other.test."}, "cannot share a name"),
    ],
)
def test_records_that_no_name_server_could_serve_are_refused(
    fields: dict[str, Any], message: str, service: Service
) -> None:
    status, said = service.refused("POST", "/v2/domains/shop.test/records", fields)
    assert (status, message in said) == (422, True), said


def test_zones_know_only_what_they_were_given() -> None:
    zones = Zones()
    query = dns.message.make_query("shop.test", "A").to_wire()
    assert dns.message.from_wire(zones.answer(query, datagram=True) or b"").rcode() == dns.rcode.REFUSED
