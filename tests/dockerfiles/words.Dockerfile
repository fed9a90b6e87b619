# Which value a $VARIABLE has, where; and what quotes and escapes do.
ARG TAG=none
ARG BEFORE=before-${TAG}
FROM kit-build-base:${TAG} AS first
ARG BEFORE
ARG TAG
ARG GIVEN=default
ARG DEFAULTED=d
ARG EMPTY
ARG LATE=${DEFAULTED}-late
ENV OVER=env
ARG OVER=arg
ENV A=1 B=$A C="x y" D='$A' E=\$A F=a\ b
ENV B2=$A G=${A:-no} H=${NONE:-yes} I=${A:+set} J=${NONE:+set} K="${NONE:-${A}2}"
ENV OLD the   old form  $A "quoted"
ENV EMPTYENV= ESC="a\"b" TAIL=a\\b
LABEL a=$GIVEN b="$C" "c d"=e 'f'='g h' multi="one \
two" $A=name
RUN echo "$BEFORE|$TAG|$GIVEN|$DEFAULTED|$EMPTY|$LATE|$OVER|$HTTP_PROXY" > /args && env | grep -v HOSTNAME | sort > /env
RUN ["sh", "-c", "echo $A '$A' > /exec"]
WORKDIR /w$A/${NONE:-x}
COPY a.txt $A-$GIVEN-${DEFAULTED}
EXPOSE $A${A}80/tcp
VOLUME /v$A
USER $A
STOPSIGNAL SIG${NONE:-TERM}
FROM first
ARG GIVEN
RUN echo "$BEFORE|$TAG|$GIVEN|$DEFAULTED|$OVER" > /tmp/second
CMD echo $A "$GIVEN"
