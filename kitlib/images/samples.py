"""Small projects to build images out of, for labs, checks and tests: real programs, none of which needs a network.

    toolchain   the image kit/toolchain: busybox, a package manager, a bundler, and the megabytes that come with them
    shop        a price list in awk: two packages, some sources, a picture, tests
    invoice     the same with a private package, which asks for a token

Everything is text, so that it can be read in the notebook; `put` writes it below a directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kitlib.images.errors import ImageError

TOOLCHAIN_IMAGE = "kit/toolchain"

_PKG = """#!/bin/sh
# pkg install NAME…   a package manager.  Its mirror is far away: each download takes a tenth of a second.
# What was downloaded once is in /var/cache/pkg.  Private packages want a token: /run/secrets/token or $TOKEN.
set -e
mirror=/usr/share/mirror cache=/var/cache/pkg
mkdir -p $cache /usr/lib/awk
[ "$1" = install ] || { echo "pkg: there is no command $1; try: pkg install NAME" >&2; exit 2; }
shift
for name in "$@"; do
    if [ -f $cache/$name.awk ]; then
        echo "have $name"
    else
        if [ -f $mirror/private/$name.awk ]; then
            token=$(cat /run/secrets/token 2>/dev/null || true)
            token=${token:-$TOKEN}
            [ -n "$token" ] || { echo "pkg: $name is private: 401 Unauthorized" >&2; exit 1; }
            licence=$(printf %s "$token" | sha256sum | cut -c1-12)
            from=$mirror/private/$name.awk
        else
            from=$mirror/$name.awk
        fi
        [ -f $from ] || { echo "pkg: there is no package $name" >&2; exit 1; }
        echo "fetch $name"
        sleep 0.1
        sed "s/@LICENCE@/$licence/" $from > $cache/.$name && mv $cache/.$name $cache/$name.awk
    fi
    cp $cache/$name.awk /usr/lib/awk/
done
"""

_BUNDLE = """#!/bin/sh
# bundle OUT FILE…   one program out of many files: no comments, no empty lines, checked by running it once.
set -e
out=$1
shift
for file in "$@"; do
    [ -f "$file" ] || { echo "bundle: there is no $file" >&2; exit 1; }
done
{ echo '#!/bin/awk -f'; cat "$@" | sed -e '/^ *#/d' -e '/^ *$/d'; } > "$out"
chmod 755 "$out"
awk -f "$out" > /dev/null
echo "bundled $# files"
"""

TOOLCHAIN = {
    "Dockerfile": """FROM busybox
COPY --chmod=755 pkg bundle /usr/bin/
COPY mirror /usr/share/mirror
RUN seq 1 500000 > /usr/share/manuals   # what a compiler brings along: megabytes
""",
    "pkg": _PKG,
    "bundle": _BUNDLE,
    "mirror/money.awk": """# money: cents as people write them
function money(cents) { return sprintf("%d.%02d", cents / 100, cents % 100) }
""",
    "mirror/table.awk": """# table: one row, two columns
function row(name, price) { printf "%-10s %8s\\n", name, price }
""",
    "mirror/tax.awk": """# tax: nineteen per cent
function tax(cents) { return int(cents * 19 / 100 + 0.5) }
""",
    "mirror/private/stamp.awk": """# stamp: not for everybody
function stamp() { return "licence @LICENCE@" }
""",
}

SHOP = {
    "Dockerfile": """FROM kit/toolchain AS deps
WORKDIR /shop
COPY packages.txt .
RUN pkg install $(cat packages.txt)

FROM deps AS program
COPY src src
RUN bundle shop src/*.awk /usr/lib/awk/*.awk

FROM program AS test
COPY tests tests
RUN ./shop | cmp - tests/expected.txt

FROM kit/toolchain AS pictures
COPY pictures /pictures
RUN sleep 0.4; gzip -9 /pictures/*

FROM busybox
COPY --from=program /shop/shop /usr/bin/shop
COPY --from=pictures /pictures /var/www
CMD ["shop"]
""",
    "broken.Dockerfile": """FROM kit/toolchain AS program
WORKDIR /shop
COPY packages.txt .
RUN pkg instal \\
    $(cat packages.txt)
COPY src src
RUN bundle shop src/*.awk \\
    /usr/lib/awk/*.awk

FROM busybox
COPI --from=program /shop/shop /usr/bin/shop
COPY --from=picture /pictures /var/www
CMD ["shop"]
""",
    "packages.txt": "money\ntable\n",
    "src/main.awk": """# The shop's price list.
BEGIN {
    count = goods(name, price)
    for (i = 1; i <= count; i++) row(name[i], money(price[i]))
}
""",
    "src/goods.awk": """# What there is.
function goods(name, price) {
    name[1] = "tea";   price[1] = 350
    name[2] = "bread"; price[2] = 420
    return 2
}
""",
    "tests/expected.txt": "tea            3.50\nbread          4.20\n",
    "pictures/tea.svg": '<svg xmlns="http://www.w3.org/2000/svg"><circle r="40"/></svg>\n' * 20,
    "README.md": "# The shop\n",
    "build.log": "monday\n",
    "src/debug.log": "monday\n",
}

INVOICE = {
    "packages.txt": "money\nstamp\n",
    "src/invoice.awk": """# An invoice, stamped.
BEGIN { print "tea", money(350); print stamp() }
""",
}

PROJECTS = {"toolchain": TOOLCHAIN, "shop": SHOP, "invoice": INVOICE}


def put(place: Path, files: Mapping[str, str]) -> None:
    """Small text files below a directory.  Raises ImageError for a path that would leave it."""
    for name, text in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ImageError(f"{name!r} is no path inside of a build context")
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
