# What is changed in a volume after VOLUME stays (BuildKit), and a directory that it names may be new.
FROM kit-build-base:1
RUN mkdir /data && echo before > /data/before
VOLUME /data /new
RUN echo after > /data/after
COPY a.txt /data/copied
WORKDIR /new/sub
