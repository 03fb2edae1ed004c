"""What settings become when a client is made of them."""

import ssl

import pytest

from streams.connection import Permissions, check_login, client_settings
from streams.errors import UsageError
from streams.secrets import Secret
from streams.sections import KafkaSettings

LOGIN = {"sasl_mechanism": "scram-sha-256", "username": "driftline", "password": Secret("s3cret")}


def test_a_password_without_tls_is_refused():
    with pytest.raises(UsageError, match=r"kafka\.protocol: would send the password without TLS"):
        check_login(KafkaSettings(protocol="sasl_plaintext", **LOGIN))


def test_a_password_without_tls_can_be_allowed():
    check_login(KafkaSettings(protocol="sasl_plaintext", **LOGIN), Permissions(login_without_tls=True))


def test_a_login_with_tls_checks_certificate_and_host_name():
    made = client_settings(KafkaSettings(protocol="sasl_ssl", bootstrap="a:1,b:2", **LOGIN))
    context = made.pop("ssl_context")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert made == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "driftline",
        "request_timeout_ms": 90_000,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "driftline",
        "sasl_plain_password": "s3cret",
    }


def test_a_certificate_file_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"/nowhere/ca\.pem: cannot be used"):
        client_settings(KafkaSettings(protocol="ssl", ca_file="/nowhere/ca.pem"))


def test_without_security_nothing_is_claimed():
    made = client_settings(KafkaSettings())
    assert (made["security_protocol"], made["ssl_context"]) == ("PLAINTEXT", None)
