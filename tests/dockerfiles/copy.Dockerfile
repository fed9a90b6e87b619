# What COPY makes of files, directories, slashes, wildcards, links, modes and owners.
FROM kit-build-base:1
COPY a.txt /plain
COPY a.txt /new/
COPY a.txt /tmp
COPY a.txt b.txt private run.sh /several/
COPY dir /dir
COPY dir /tree/
COPY dir/ dir2/ /merged/
COPY dir/sub dir2 /both/
COPY *.txt /wild/
COPY ["with space.txt", "/spaced/with space"]
COPY [[]odd].txt /odd/
COPY d?r/o* /mark/
COPY linkfile /linkfile
COPY linkdir /linkdir
COPY dir/link /one-link
COPY --chown=12:34 dir /owned
COPY --chown=nobody a.txt /named
COPY --chown=nobody:daemon dir2 /named2/
COPY --chown=33 a.txt /number/of/33
RUN ln -s /real /alias && mkdir /real && ln -s nowhere /dangling && ln -s /tmp/into /filelink && echo x > /tmp/into
COPY a.txt /alias/
COPY a.txt /alias/deep/er/
COPY dir2 /alias
COPY a.txt /filelink
COPY dir/empty /emptied
COPY empty /keeps
WORKDIR /rel/ative
COPY a.txt .
COPY a.txt ./b
COPY dir2 .
COPY a.txt ../up
COPY . /all/
COPY ./dir/../a.txt /dotted
COPY /a.txt /slashed
COPY dir2/* dir/l* /starred/
