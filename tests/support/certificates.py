"""Certificates as the role internal_tls makes them: a CA, and hosts that it signs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.tls import CA as CA_FILE
from app.tls import CERTIFICATE, KEY

NOW = datetime.datetime.now(datetime.UTC)


_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _identifier(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


@dataclass
class CA:
    """One fleet's own."""

    name: str = "askfleet internal CA"

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        made = self._builder(self._subject, self._key, 3650)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(_SIGNS, critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        made = made.add_extension(own, critical=False)
        self.pem = self._signed(made)

    def write(
        self, directory: Path, *kinds: str, days: int = 365, trusts: tuple[CA, ...] = ()
    ) -> Path:
        """Give a host that runs these kinds of service its files; trusts this CA and others."""
        directory.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a-host")])
        names = [x509.DNSName(f"{kind}.askfleet.internal") for kind in (*kinds, "a-host")]
        made = self._builder(subject, key, days)
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pems = {
            CA_FILE: b"".join(one.pem for one in (self, *trusts)),
            CERTIFICATE: self._signed(made),
            KEY: key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        }
        for name, pem in pems.items():
            new = directory / f".{name}"
            new.write_bytes(pem)
            new.replace(directory / name)
        return directory

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.CertificateBuilder:
        begins = NOW + datetime.timedelta(days=min(days, 0) - 1)
        return (
            x509.CertificateBuilder(issuer_name=self._subject, subject_name=subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(NOW + datetime.timedelta(days=days))
            # Python 3.13 wants to know who has signed.
            .add_extension(_identifier(self._key), critical=False)
        )

    def _signed(self, made: x509.CertificateBuilder) -> bytes:
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
