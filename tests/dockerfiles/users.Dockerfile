# Who owns what is made, and who runs.
FROM kit-build-base:1
RUN echo 'app:x:1000:2000::/home/app:/bin/sh' >> /etc/passwd && echo 'team:x:2000:' >> /etc/group && echo 'extra:x:2001:app' >> /etc/group && mkdir -m 777 /open
USER app
WORKDIR /home/app/work
RUN id > /open/app && touch /open/app-file && echo $HOME >> /open/app; umask >> /open/app
COPY a.txt /open/copied
COPY --chown=app a.txt /open/chown-user
COPY --chown=app:extra a.txt /open/chown-both
COPY --chown=:team a.txt /open/chown-group
COPY --chown=1000:0 a.txt new/dirs/file
USER 1000
RUN id -u > /open/uid && id -g >> /open/uid && id -G >> /open/uid
USER 4321:4322
RUN id -u > /open/number && id -g >> /open/number && id -G >> /open/number && echo $HOME >> /open/number
USER app:extra
RUN id -u > /open/group && id -g >> /open/group && id -G >> /open/group
USER 0
RUN id -G > /open/root && echo $HOME >> /open/root && pwd >> /open/root
