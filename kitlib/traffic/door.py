"""The cluster's door: its ingress controller, asked as a client would for whom DNS led every host there.

    Door(client).ask("https://shop.example/cart")     to the controller's address, with that host and that server name

`kit curl` asks the controller only for hosts that an Ingress names; this asks for any, since what happens to a host
that is nobody's is worth knowing, too.  The controller is kit's Traefik, or whose address an Ingress's status has.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from kitlib.client import Client
from kitlib.objects.errors import StatusError
from kitlib.traffic import exchange, reach
from kitlib.traffic.exchange import Answer
from kitlib.traffic.failure import Failure, Unreachable, kind_of, words_of
from kitlib.traffic.ingress import CONTROLLER as NAME
from kitlib.traffic.ingress import INGRESSES, first_address
from kitlib.traffic.network import Network, Route

SECONDS = 5.0


class Door:
    """One cluster's ingress controller."""

    def __init__(self, client: Client, namespace: str = "default") -> None:
        self._network = Network(client, namespace)
        self.client = client

    @property
    def address(self) -> str:
        """Where the controller is found: its load balancer, else its Service; "" if there is none."""
        try:
            service = self.client.get("services", NAME, NAME)
        except StatusError as error:
            if error.code not in (403, 404):
                raise
            objects = self.client.list(INGRESSES, None)["items"]
            return next(filter(None, map(first_address, objects)), "")
        return first_address(service) or service["spec"].get("clusterIP", "")

    def route(self, port: int) -> Route:
        """Raises Unreachable when there is no controller."""
        address = self.address
        if not address:
            raise Unreachable(Failure("dns", "this cluster has no ingress controller yet (`kit ingress status`)"))
        return self._network.route(address, port)

    def ask(self, url: str, *, headers: Mapping[str, str] | None = None, method: str = "GET",
            seconds: float = SECONDS) -> Answer:
        """One request, which believes any certificate; that nobody answers is an answer, too."""
        target = exchange.parse_url(url)
        answer, clock = Answer(target.url, method), exchange.Clock()
        try:
            route = self.route(target.port)
            answer.address = f"{route.address}:{route.port}"
            sock = route.connect(seconds)
            sock.settimeout(seconds)
            if target.scheme == "https":
                sock = exchange.encrypt(sock, target.host, insecure=True)
            exchange.exchange(sock, target, answer, headers=list((headers or {}).items()))
        except Unreachable as error:
            answer.failure = error.failure
        except OSError as error:
            answer.failure = Failure(kind_of(error), words_of(error))
        answer.seconds = clock.seconds
        return answer

    def certificate(self, host: str, port: int = 443) -> str:
        """The PEM text of what the controller shows to a client that says it wants this host; "" if there is no TLS."""
        try:
            with exchange.encrypt(self.route(port).connect(reach.CONNECT_SECONDS), host, insecure=True) as wrapped:
                return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"")
        except (OSError, Unreachable):
            return ""


def names_of(certificate: str) -> tuple[str, tuple[str, ...]]:
    """(common name, the hosts that it is for) of a certificate in PEM."""
    from cryptography import x509

    found = x509.load_pem_x509_certificate(certificate.encode())
    common = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = tuple(names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        hosts = ()
    return (str(common[0].value) if common else "", hosts)
