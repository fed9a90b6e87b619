# What RUN sees, and what its changes become: new, changed, removed, replaced files, links, modes, times.
FROM kit-build-base:1
RUN mkdir -p /d/sub && echo 1 > /d/sub/one && echo 2 > /d/two && ln /d/two /d/hard && ln -s two /d/soft && mkfifo /d/fifo
RUN rm -r /d/sub && mkdir /d/sub && echo new > /d/sub/other && chmod 1700 /d/sub && \
    rm /d/two && mkdir /d/two && rm /d/soft && echo file > /d/soft && \
    chmod 4755 /d/hard && chown 5:6 /d && chown -h 7:8 /d/soft
RUN rm -rf /d/sub; touch -d @1000000000 /d/old && cd /d && pwd > where; echo $0 >> /d/where; tty >> /d/where; cat >> /d/where; true
RUN true
RUN set -e; echo "name with \"quotes\"" > "/d/with space" && echo ünï > /d/ünï; \
    # a comment between the lines
    for i in 1 2 3; do \

      echo $i >> /d/loop; \
    done; \
    ls -d /proc/self /sys/class /dev/null /dev/zero /dev/random /dev/tty /dev/fd /dev/stdin /dev/shm /dev/pts > /d/special; \
    echo $PPID $$ > /d/pid; umask >> /d/pid; id -u >> /d/pid; ulimit -c >> /d/pid; env | grep -v ^HOSTNAME | sort >> /d/pid
SHELL ["/bin/sh", "-exc"]
RUN echo $0 > /d/shell
RUN ["touch", "/d/$HOME", "/d/a b"]
