"""`kit curl | dig`: ask the cluster what its Pods would ask.

    kit curl http://web.shop.svc/healthz      a Service, by the name that Pods use
    kit curl http://web/ --from client        the connection begins in Pod client: its policies apply
    kit curl -i -H 'X-Debug: 1' http://shop.example/      an Ingress's host goes to its controller
    kit dig web                               which names were tried (search path, ndots), and the answer
    kit dig _http._tcp.web SRV +short
    kit dig -x 10.0.0.7
"""

from __future__ import annotations

import argparse
import sys

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, note, print_json
from kitlib.cluster.errors import UsageError

CURL = """Ask a URL of the cluster, as a Pod of it would: names resolve by the cluster's DNS, and the host of an Ingress
leads to its controller.  The answer comes as from curl.

On a cluster whose network is not this machine's (kind, or any other context) the way is a port-forward through
its API; -v says so.

Exit codes are curl's: 0 there was an answer (with -f: and it was no error); 6 the name has no address; 7 nobody
listens there, or there is no way; 22 with -f: the answer was an error; 28 too slow; 35 no TLS; 52 closed without an
answer; 56 broken off; 60 the certificate is not believed.  2, 3 and 70 are kit's own (see kit --help)."""
DIG = """Ask the cluster's DNS as a Pod of a namespace would, and show which names were tried on the way: search path
and ndots decide that.

options:  +short only the values   +nosearch the name as it is   +tcp

Exit codes are dig's: 0 the server answered, be it with NXDOMAIN; 9 it did not answer.  2, 3 and 70 are kit's own."""
NO_REPLY = 9
HTTP_ERROR = 22


def register(commands: Commands) -> None:
    curl = command(commands, "curl", run_curl, description=CURL)
    curl.add_argument("url", help="for example http://web.default.svc/")
    curl.add_argument("-H", "--header", action="append", default=[], metavar="LINE", help="'Name: value'; 'Name:' "
                                                                                         "leaves a header away")
    curl.add_argument("-X", "--request", default="", metavar="METHOD", help="GET; with -d POST")
    curl.add_argument("-d", "--data", help="the body; @FILE reads it from a file, @- from stdin")
    curl.add_argument("-k", "--insecure", action="store_true", help="believe any certificate")
    curl.add_argument("--cacert", default="", metavar="FILE", help="believe certificates of this authority")
    curl.add_argument("-i", "--include", action="store_true", help="show the answer's headers, too")
    curl.add_argument("-v", "--verbose", action="store_true", help="tell what happens on the way")
    curl.add_argument("-f", "--fail", action="store_true", help="an error (400 and more) is a failure: exit code 22")
    curl.add_argument("-m", "--max-time", type=_seconds, default=10.0, metavar="SECONDS", help="how long to wait (10)")
    curl.add_argument("--from", dest="from_pod", default="", metavar="POD", help="begin in this Pod ([NAMESPACE/]NAME)")
    curl.add_argument("-c", "--container", default="", help="with --from: in this container")
    curl.add_argument("-n", "--namespace", help="names resolve as in a Pod of it (else the kubeconfig's)")
    dig = command(commands, "dig", run_dig, description=DIG)
    dig.add_argument("words", nargs="*", metavar="NAME [TYPE] [+OPTION]", help="A is the usual type")
    dig.add_argument("-x", dest="reverse", metavar="ADDRESS", help="which name has this address")
    dig.add_argument("-n", "--namespace", help="as a Pod of this namespace (else the kubeconfig's)")


def run_curl(arguments: argparse.Namespace) -> int:
    from kitlib.traffic.request import request
    from kitlib.traffic.shape import as_json, headers_of, verbose

    cluster, namespace = cluster_of(arguments), namespace_of(arguments)
    try:
        answer = request(cluster.client("kit-curl"), arguments.url, namespace=namespace, method=arguments.request,
                         headers=headers_of(arguments.header), data=_data(arguments.data),
                         insecure=arguments.insecure, cacert=arguments.cacert, from_pod=arguments.from_pod,
                         container=arguments.container, seconds=arguments.max_time)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {arguments.cacert}.") from error
    if arguments.json:
        print_json(as_json(answer))
    else:
        if arguments.verbose:
            print("\n".join(verbose(answer)), file=sys.stderr)
        if answer.status:
            _print(answer, arguments.include)
    if answer.failure:
        print(f"curl: {answer.failure}", file=sys.stderr)
        return answer.failure.code
    if arguments.fail and not answer.ok:
        print(f"curl: (22) The requested URL returned error: {answer.status}", file=sys.stderr)
        return HTTP_ERROR
    return 0


def _print(answer: object, include: bool) -> None:
    from kitlib.traffic.exchange import Answer
    from kitlib.traffic.shape import head_of

    assert isinstance(answer, Answer)
    if include:
        sys.stdout.buffer.write(("\r\n".join(head_of(answer)) + "\r\n\r\n").encode("latin-1", "replace"))
    sys.stdout.buffer.write(answer.body)
    sys.stdout.flush()


def _data(text: str | None) -> bytes | None:
    if text is None:
        return None
    if text == "@-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            with open(text[1:], "rb") as file:
                return file.read()
        except OSError as error:
            raise UsageError(f"-d {text}: {error.strerror}.") from error
    return text.encode()


def run_dig(arguments: argparse.Namespace) -> int:
    import ipaddress

    from kitlib.traffic import dig
    from kitlib.traffic.failure import Unreachable
    from kitlib.traffic.network import Network

    options = {word[1:] for word in arguments.words if word.startswith("+")}
    words = [word for word in arguments.words if not word.startswith("+")]
    unknown = options - {"short", "search", "nosearch", "tcp"}
    if unknown:
        raise UsageError(f"there is no option +{sorted(unknown)[0]}; there is: +short, +nosearch, +tcp.")
    if arguments.reverse:
        try:
            words = [ipaddress.ip_address(arguments.reverse).reverse_pointer + ".", "PTR"]
        except ValueError as error:
            raise UsageError(f"{error}.") from error
    if not 1 <= len(words) <= 2:
        raise UsageError("give a name, and if you like a type: kit dig web SRV.")
    namespace = namespace_of(arguments)
    network = Network(cluster_of(arguments).client("kit-dig"), namespace)
    name = words[0] + ("." if "nosearch" in options and not words[0].endswith(".") else "")
    try:
        found = network.look_up(name, words[1] if len(words) > 1 else "A", tcp="tcp" in options)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    except Unreachable as error:
        print(f";; no answer: {error.failure.message}", file=sys.stderr)
        return NO_REPLY
    if network.through_api:
        note("this cluster's network is not this machine's: its DNS was asked through a port-forward.")
    if arguments.json:
        print_json({"name": found.name, "type": found.type, "answers": dig.short(found),
                    "tries": [{"name": t.name, "code": t.code, "records": t.records} for t in found.tries]})
    elif "short" in options:
        print("\n".join(dig.short(found)), end="\n" if dig.short(found) else "")
    else:
        print(dig.text(network.conf(), found, namespace, tcp="tcp" in options))
    return 0


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"must be seconds from 0.01 to 3600, not {text!r}")
    return value


