# ONBUILD: triggers of a stage or an image are carried out right behind the FROM that builds upon it, and only there.
FROM kit-build-base:1 AS trigger
ENV WHO=trigger
ONBUILD ARG GIVEN=none
ONBUILD WORKDIR /on/build
ONBUILD RUN echo $WHO $GIVEN > said && pwd >> said
ONBUILD COPY --chown=7:8 a.txt renamed
ONBUILD ENV LATE=yes
ONBUILD HEALTHCHECK NONE
FROM trigger
RUN echo $LATE > late
