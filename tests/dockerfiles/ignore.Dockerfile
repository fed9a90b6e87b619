# .dockerignore: what a build sees.
FROM kit-build-base:1
COPY . /all
COPY docs /docs
COPY *.log /logs/
