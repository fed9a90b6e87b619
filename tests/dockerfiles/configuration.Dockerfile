# Everything that is kept in the configuration, set, set again and reset.
FROM kit-build-base:1 AS parent
MAINTAINER some body <some@body>
ENTRYPOINT ["first"]
CMD ["old", "arguments"]
LABEL a=1 b=2
EXPOSE 81/udp 90-92/tcp 80/tcp
VOLUME /v1 /v2
VOLUME ["/v3", "/with space"]
STOPSIGNAL 9
SHELL ["/bin/ash", "-ec"]
CMD shell form "with quotes" and	tab
FROM parent AS middle
HEALTHCHECK CMD ["curl", "x"]
ENTRYPOINT exec shell form
LABEL b=3 c="" "d.e"=f
STOPSIGNAL SIGKILL
workdir sub
WORKDIR ../side/./x
WORKDIR /abs
ENV PATH=/mine:$PATH
USER nobody:daemon
CMD []
FROM middle AS last
CMD ["a",  "b"]
ENTRYPOINT []
HEALTHCHECK --interval=30s --timeout=1m30s --start-period=500ms --retries=3 CMD test -f /x || exit 1
ENV A=1
ENV A=2
ONBUILD RUN echo triggered
onbuild workdir /x
