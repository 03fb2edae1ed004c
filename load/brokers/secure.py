"""One broker with many doors: plain for those who prepare a test, and with TLS, logins and permissions to test.

Who comes through the plain door may do everything. Users who log in may do what ``Acls`` grants them and nothing else.
"""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from load.brokers.common import free_port
from load.brokers.node import AREA, Node, Way, find_way, nodes

USER = "driftline"
PASSWORD = "canary-Pa55word-of-the-worker"  # noqa: S105 - of brokers that live as long as a test; looked for in logs
ADMIN_WITHIN_S = 20.0


class Door(StrEnum):
    """A listener's name."""

    PLAIN = "PLAINTEXT"
    LOGIN = "LOGIN"  # TLS and SASL
    TLS = "TLS"  # TLS only, with a certificate that is right
    SELF_SIGNED = "SELFSIGNED"  # by an authority that nobody knows
    WRONG_HOST = "WRONGHOST"
    EXPIRED = "EXPIRED"
    MUTUAL = "MUTUAL"  # asks for a client's certificate
    DETOUR = "DETOUR"  # plain, and tells clients to come to another port: a test puts something in between


_PLAIN_DOORS = (Door.PLAIN, Door.DETOUR)


class Certificates(NamedTuple):
    """PEM texts."""

    authority: str
    stranger: str  # the authority that nobody knows
    client: str
    client_key: str
    doors: Mapping[Door, str]  # key and chain


class SecureBroker:
    def __init__(self, node: Node, ports: Mapping[Door, int], certificates: Certificates, detour: int) -> None:
        self.node, self.certificates = node, certificates
        self.detour = detour  # the port at which clients of the door of that name look for the broker
        self._ports = ports

    @property
    def bootstrap(self) -> str:
        return self.at(Door.PLAIN)

    def at(self, door: Door) -> str:
        return f"127.0.0.1:{self._ports[door]}"

    def acls(self) -> "Acls":
        return Acls(AdminClient({"bootstrap.servers": self.bootstrap}))


class Acls:
    """What ``USER`` may do."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def grant(self, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """On every resource whose name begins so."""
        asked = self._admin.create_acls([self._binding(AclBinding, kind, name, each) for each in operations])
        for done in asked.values():
            done.result(ADMIN_WITHIN_S)

    def revoke(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        asked = self._admin.delete_acls([self._binding(AclBindingFilter, kind, name, operation)])
        for done in asked.values():
            done.result(ADMIN_WITHIN_S)

    def grant_a_worker(self, prefix: str) -> None:
        """What a worker needs on topics and a group whose names begin so, each as a grant of its own."""
        self.grant(ResourceType.TOPIC, prefix, *WORKER_NEEDS)
        self.grant(ResourceType.GROUP, prefix, AclOperation.READ)

    def _binding(self, make: Any, kind: ResourceType, name: str, operation: AclOperation) -> Any:
        allow = AclPermissionType.ALLOW
        return make(kind, name, ResourcePatternType.PREFIXED, f"User:{USER}", "*", operation, allow)


WORKER_NEEDS = (
    AclOperation.READ,
    AclOperation.WRITE,
    AclOperation.DESCRIBE,
    AclOperation.DESCRIBE_CONFIGS,
)


@contextmanager
def secure_broker(way: Way | None = None) -> Iterator[SecureBroker]:
    """For as long as the block runs."""
    ports = {door: free_port() for door in Door}
    controller, detour = free_port(), free_port()
    certificates = make_certificates()
    files = {f"{door.lower()}.pem": text for door, text in certificates.doors.items()}
    properties = _properties(ports, controller, detour)
    with nodes({1: properties}, {**files, "authority.pem": certificates.authority}, way or find_way()) as made:
        _add_scram_users(AdminClient({"bootstrap.servers": f"127.0.0.1:{ports[Door.PLAIN]}"}))
        yield SecureBroker(made[1], ports, certificates, detour)


def _properties(ports: Mapping[Door, int], controller: int, detour: int) -> dict[str, str]:
    protocols = {**dict.fromkeys(Door, "SSL"), **dict.fromkeys(_PLAIN_DOORS, "PLAINTEXT"), Door.LOGIN: "SASL_SSL"}
    doors = _listeners(ports)
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    settings = {
        "listeners": f"{doors},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": _listeners({**ports, Door.DETOUR: detour}),
        "listener.security.protocol.map": ",".join(
            (*(f"{door}:{protocol}" for door, protocol in protocols.items()), "CONTROLLER:PLAINTEXT")
        ),
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:worker",
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.login.plain.sasl.jaas.config": f'{plain} required user_{USER}="{PASSWORD}";',
        "listener.name.login.scram-sha-256.sasl.jaas.config": f"{scram} required;",
        "listener.name.login.scram-sha-512.sasl.jaas.config": f"{scram} required;",
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": f"{AREA}/authority.pem",
    }
    for door in Door:
        if door not in _PLAIN_DOORS:
            settings[f"listener.name.{door.lower()}.ssl.keystore.type"] = "PEM"
            settings[f"listener.name.{door.lower()}.ssl.keystore.location"] = f"{AREA}/{door.lower()}.pem"
    return settings


def _listeners(ports: Mapping[Door, int]) -> str:
    return ",".join(f"{door}://127.0.0.1:{port}" for door, port in ports.items())


def make_certificates() -> Certificates:
    import trustme  # noqa: PLC0415 - comes with the development lock

    authority, stranger = trustme.CA(), trustme.CA()
    right = authority.issue_cert("127.0.0.1")
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    worker = authority.issue_cert("worker.invalid", common_name="worker")
    served = {
        Door.LOGIN: right,
        Door.TLS: right,
        Door.MUTUAL: right,
        Door.SELF_SIGNED: stranger.issue_cert("127.0.0.1"),
        Door.WRONG_HOST: authority.issue_cert("elsewhere.invalid"),
        Door.EXPIRED: authority.issue_cert("127.0.0.1", not_after=yesterday),
    }
    return Certificates(
        authority.cert_pem.bytes().decode(),
        stranger.cert_pem.bytes().decode(),
        "".join(blob.bytes().decode() for blob in worker.cert_chain_pems),
        worker.private_key_pem.bytes().decode(),
        {door: _as_java_reads_it(certificate) for door, certificate in served.items()},
    )


def _as_java_reads_it(certificate: Any) -> str:
    """Key and chain in one PEM; Java takes a key only as PKCS#8."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - comes with trustme

    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pkcs8.decode() + "".join(blob.bytes().decode() for blob in certificate.cert_chain_pems)


def _add_scram_users(admin: AdminClient) -> None:
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        user = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
        for done in admin.alter_user_scram_credentials([user]).values():
            done.result(ADMIN_WITHIN_S)
