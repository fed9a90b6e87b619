# ADD unpacks local tars, however they are compressed; COPY does not.
FROM kit-build-base:1
ADD plain.tar /plain/
ADD zipped.tar.gz /zipped
ADD packed.tar.xz b.tar.bz2 /both/
COPY plain.tar /copied/
ADD broken.tar.gz /broken/
ADD a.txt /file
ADD dir2 /dir2
RUN mkdir -p /there/in && echo old > /there/in/file && chmod 700 /there/in
ADD plain.tar /there/
ADD --chown=3:4 plain.tar /owned/
ADD --chown=5:6 a.txt /owned-file
ADD *.tar.* /wild/
