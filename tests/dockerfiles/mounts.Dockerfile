# RUN --mount in all its kinds (BuildKit).
FROM kit-build-base:1 AS other
RUN mkdir /o && echo other > /o/file
FROM kit-build-base:1
RUN --mount=type=cache,target=/cache,id=kit-build-test echo x > /cache/x && ls -ld /cache | cut -c1-10 > /cache-mode
RUN --mount=type=cache,target=/cache2,mode=0700,uid=5,gid=6,id=kit-build-test2 stat -c '%a %u %g' /cache2 > /cache-owner
RUN --mount=type=cache,target=/seeded,from=other,source=/o,id=kit-build-test3 cat /seeded/file > /seeded-file
RUN --mount=type=secret,id=token cat /run/secrets/token > /dev/null && stat -c '%a %u %g' /run/secrets/token > /secret
RUN --mount=type=secret,id=token,target=/etc/token,mode=0444,uid=3 stat -c '%a %u %g' /etc/token > /secret2
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
RUN --mount=type=bind,target=/ctx cat /ctx/a.txt > /from-context && ls /ctx > /listing; echo no > /ctx/x || echo read-only > /ro
RUN --mount=type=bind,source=dir/one,target=/file cat /file > /from-file
RUN --mount=from=other,source=/o,target=/o,rw cat /o/file > /from-other && echo changed > /o/file && cat /o/file >> /from-other
RUN --mount=from=other,target=/o cat /o/o/file >> /from-other
RUN --mount=type=tmpfs,target=/mem touch /mem/x && grep ' /mem ' /proc/mounts | cut -d' ' -f3 > /tmpfs
WORKDIR /w
RUN --mount=type=bind,source=dir2,target=rel cat rel/four > /relative
RUN --mount=type=bind,source=.,target=. ls > /current
