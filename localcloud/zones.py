"""What a name server says of the account's domains: records in, answers out; no sockets, no files."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.TXT import TXT
from dns.rrset import RRset

from localcloud.store import Record

CLASS = dns.rdataclass.IN
SOA = "ns1.digitalocean.com. hostmaster.{origin} {serial} 10800 3600 604800 1800"
TTL = 1800
DATAGRAM = 512  # of a client that does not say how much it takes
LONGEST_ALIAS = 8
HOST_FIRST = ("CNAME", "NS")


class RecordError(ValueError):
    """A record that cannot be served."""


@dataclass(frozen=True)
class Zone:
    """One domain: its record sets by name and type, and the SOA that every negative answer bears."""

    origin: Name
    sets: Mapping[Name, Mapping[RdataType, RRset]]

    serial: int

    @property
    def soa(self) -> RRset:
        return self.sets[self.origin][RdataType.SOA]

    def find(self, name: Name) -> Mapping[RdataType, RRset] | None:
        """Give the sets of a name, or of the wildcard that stands for it; None when there is no such name."""
        if self._exists(name):
            return self.sets.get(name, {})
        encloser = name.parent()
        while not self._exists(encloser):
            encloser = encloser.parent()
        wild = self.sets.get(Name(("*", *encloser.labels)))
        return wild and {kind: _renamed(one, name) for kind, one in wild.items()}

    def _exists(self, name: Name) -> bool:
        """Say whether a name is there, be it only as a part of longer ones."""
        return name in self.sets or any(one.is_subdomain(name) for one in self.sets)


def _renamed(found: RRset, name: Name) -> RRset:
    return dns.rrset.from_rdata_list(name, found.ttl, list(found))


def zone(domain: str, records: Iterable[Record], serial: int) -> Zone:
    """Make a zone of a domain's records, as the API keeps them. Records that cannot be served are left out."""
    origin = dns.name.from_text(domain)
    sets: dict[Name, dict[RdataType, RRset]] = {}
    first = dns.rdata.from_text(CLASS, RdataType.SOA, SOA.format(origin=origin, serial=serial))
    sets[origin] = {RdataType.SOA: dns.rrset.from_rdata(origin, TTL, first)}
    for record in records:
        try:
            name, data = rdata(domain, record)
        except RecordError:
            continue
        if data.rdtype != RdataType.SOA:
            found = sets.setdefault(name, {})
            found.setdefault(data.rdtype, RRset(name, CLASS, data.rdtype)).add(data, record["ttl"])
    return Zone(origin, sets, serial)


def rdata(domain: str, record: Record) -> tuple[Name, dns.rdata.Rdata]:
    """Give the owner and the data of a record. Raises RecordError when it makes no sense."""
    origin = dns.name.from_text(domain)
    try:
        owner = dns.name.from_text(record["name"], origin) if record["name"] != "@" else origin
        if record["type"] == "TXT":
            return owner, _text(record["data"])
        kind = dns.rdatatype.from_text(record["type"])
        return owner, dns.rdata.from_text(CLASS, kind, _data(record), origin, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise RecordError(str(error)) from None


def _text(data: str) -> TXT:
    whole = data.strip('"').encode()
    return TXT(CLASS, RdataType.TXT, [whole[at : at + 255] for at in range(0, len(whole), 255)] or [b""])


def _data(record: Record) -> str:
    """Give a record's data as a zone file has it. A host is kept without its final dot; one label alone is relative."""
    kind, data = record["type"], record["data"]
    host = data if data == "@" or "." not in data else f"{data.removesuffix('.')}."
    match kind:
        case "CNAME" | "NS":
            return host
        case "MX":
            return f"{record['priority']} {host}"
        case "SRV":
            return f"{record['priority']} {record['weight']} {record['port']} {host}"
        case "CAA":
            return f'{record["flags"]} {record["tag"] or "issue"} "{data}"'
        case _:
            return data


def _target(alias: RRset) -> Name:
    [data] = alias
    if not isinstance(data, CNAME):
        raise TypeError(f"{alias} is no alias")
    return data.target


class Zones:
    """The zones that are served: replaced as a whole, asked by many threads."""

    def __init__(self) -> None:
        self._zones: dict[Name, Zone] = {}
        self._made_from: dict[str, list[Record]] = {}

    def replace(self, domains: Mapping[str, list[Record]]) -> None:
        """Serve these domains and no others; what has not changed keeps its serial number."""
        kept = {one.origin: one for one in self._zones.values()}
        fresh: dict[Name, Zone] = {}
        for domain, records in domains.items():
            origin = dns.name.from_text(domain)
            same = self._made_from.get(domain) == records
            fresh[origin] = kept[origin] if same else zone(domain, records, self._serial(kept.get(origin)))
        self._made_from = {domain: [dict(one) for one in records] for domain, records in domains.items()}
        self._zones = fresh

    @staticmethod
    def _serial(before: Zone | None) -> int:
        return max(int(time.time()), before.serial + 1 if before else 0)

    def answer(self, wire: bytes, *, datagram: bool) -> bytes | None:
        """Answer a message; None for one that is no question at all."""
        try:
            query = dns.message.from_wire(wire)
            response = dns.message.make_response(query, recursion_available=False)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
        else:
            asked = query.question[0]
            self._look_up(response, asked.name, asked.rdtype)
        most = max(query.payload, DATAGRAM) if datagram else 65535
        return response.to_wire(max_size=most, prefer_truncation=True)

    def _look_up(self, response: dns.message.Message, name: Name, kind: RdataType) -> None:
        for _ in range(LONGEST_ALIAS):
            found = self._zone_of(name)
            if found is None:
                if not response.answer:
                    response.set_rcode(dns.rcode.REFUSED)
                return
            response.flags |= dns.flags.AA
            sets = found.find(name)
            wanted = [] if sets is None else [one for one in sets.values() if kind in (one.rdtype, RdataType.ANY)]
            alias = (sets or {}).get(RdataType.CNAME)
            if wanted or alias is None:
                response.answer += wanted
                if not wanted:
                    response.set_rcode(dns.rcode.NXDOMAIN if sets is None else dns.rcode.NOERROR)
                    response.authority.append(found.soa)
                return
            response.answer.append(alias)
            name = _target(alias)

    def _zone_of(self, name: Name) -> Zone | None:
        """Give the zone with the longest name above or at a name."""
        zones = self._zones
        while name not in zones:
            if name == dns.name.root:
                return None
            name = name.parent()
        return zones[name]
