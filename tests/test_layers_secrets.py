"""Secrets in images: what is one, and what only looks so to somebody who has never seen a file system."""

from __future__ import annotations

import pytest

from kitlib.images.explorer.secrets import Looker

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"


@pytest.mark.parametrize(("path", "data", "why"), [
    ("root/.ssh/id_ed25519", KEY, "a private key"),
    ("srv/deploy", KEY, "a private key"),
    ("srv/aws", b"id = AKIAABCDEFGHIJKLMNOP\n", "an AWS access key"),
    ("srv/hub", b"x ghp_" + b"a" * 36, "a GitHub token"),
    ("app/.env", b"PORT=80\n", "a file with settings of an application"),
    ("root/.npmrc", b"registry=x", "a file with credentials"),
    ("app/db-password.txt", b"xyz", "its name says so"),
    ("secret.key", b"xyz", "its name says so"),
    *(("app/settings", line, "a line that sets a password or token") for line in (
        b"[db]\npassword = hunter22\n", b"export DB_PASSWORD='hunter22'", b"  api_key: 0123456789\n",
        b'{"x": 1,\n "client_secret": "s3cr3t!"}', b"spring.datasource.password=abcdef"))])
def test_what_is_a_secret(path: str, data: bytes, why: str) -> None:
    looker = Looker(3)
    looker.see(path, data[:looker.wants(path, len(data))])
    assert [(found.where, found.layer, found.why) for found in looker.found] == [(f"/{path}", 3, why)]


@pytest.mark.parametrize(("path", "data"), [
    ("etc/nsswitch.conf", b"passwd:         files\n"), ("etc/pam.d/common-password", b"password required x"),
    ("etc/ssl/openssl.cnf", b"input_password = secret\n"), ("usr/lib/python3/dist-packages/x.cfg", b"token = abcdef"),
    ("srv/node_modules/a/test.pem", KEY), ("app/token.pyi", b"TOKEN: int\n"), ("app/main.py", b"password = ask()\n"),
    ("app/passwords.html", b"x"), ("app/chpasswd", b"x"),
    *(("app/settings", line) for line in (
        b"password = $DB_PASSWORD\n", b"password: {{ .Values.password }}\n", b"token: true\n", b"secret: null\n",
        b"# password = hunter22\n", b"a token = something in a sentence", b"\0password = hunter22\n", b"password = \n",
        b"tokens are counted: five\n"))])
def test_what_is_none(path: str, data: bytes) -> None:
    looker = Looker(1)
    wanted = looker.wants(path, len(data))
    if wanted:
        looker.see(path, data[:wanted])
    assert looker.found == []
