# escape=`
# The backquote goes on with a line, and a backslash is nothing special.
FROM kit-build-base:1
ENV A=c:\dir B=`$A C="x`"y"
LABEL path=$A `
      other="two words"
RUN echo one `
  && echo two > /two && echo 'a\b' > /backslash
COPY a.txt `
     /x/
