# Files out of stages by name, by number and out of images; a stage nobody needs fails, and nobody minds.
FROM kit-build-base:1 AS Build
RUN mkdir -p /out/deep && echo built > /out/app && chmod 750 /out/app && chown 9:10 /out/app && ln -s app /out/link && \
    ln -s /out /outlink && echo x > /out/deep/x && chmod 700 /out/deep && ln -s /out/app /abs
FROM kit-build-base:1 AS never
RUN exit 1
FROM build AS second
RUN echo more >> /out/app
FROM kit-build-base:1
COPY --from=build /out/app /app
COPY --from=0 /out /out
COPY --from=BUILD /out/* /wild/
COPY --from=second out/app /second/
COPY --from=build /outlink /outlink
COPY --from=build /outlink/app /through-a-link
COPY --from=build /abs /abs
COPY --from=build /out/link /link
COPY --from=build --chown=1:1 /out /owned
COPY --from=kit-build-base:1 /etc/passwd /passwd
COPY --from=build /out/deep/ /out/app /mixed/
