# RUN --mount in all its kinds (BuildKit).
FROM kit-build-base:1 AS other
RUN mkdir /o && echo other > /o/file
FROM kit-build-base:1
RUN --mount=type=cache,target=/cache,id=kit-build-test \
    --mount=type=cache,target=/cache2,mode=0700,uid=5,gid=6,id=kit-build-test2 \
    --mount=type=cache,target=/seeded,from=other,source=/o,id=kit-build-test3 \
    echo x > /cache/x && ls -ld /cache | cut -c1-10 > /cache-mode && stat -c '%a %u %g' /cache2 > /cache-owner && \
    cat /seeded/file > /seeded-file
RUN --mount=type=secret,id=token --mount=type=secret,id=token,target=/etc/token,mode=0444,uid=3 \
    --mount=type=secret,id=none \
    cat /run/secrets/token > /dev/null && stat -c '%a %u %g' /run/secrets/token /etc/token > /secret && \
    test ! -e /run/secrets/none
RUN --mount=type=bind,target=/ctx --mount=type=bind,source=dir/one,target=/file \
    --mount=from=other,source=/o,target=/o,rw --mount=type=tmpfs,target=/mem \
    cat /ctx/a.txt > /from-context && ls /ctx > /listing; echo no > /ctx/x || echo read-only > /ro; \
    cat /file > /from-file && cat /o/file > /from-other && echo changed > /o/file && cat /o/file >> /from-other && \
    touch /mem/x && grep ' /mem ' /proc/mounts | cut -d' ' -f3 > /tmpfs
RUN --mount=from=other,target=/o cat /o/o/file >> /from-other
WORKDIR /w
RUN --mount=type=bind,source=dir2,target=rel cat rel/four > /relative
RUN --mount=type=bind,source=.,target=. ls > /current
