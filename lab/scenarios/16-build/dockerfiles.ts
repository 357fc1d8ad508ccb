/** Two stages, a tar that is unpacked, a user. */
export const STAGES = `ARG BASE=busybox
FROM $BASE AS build
ARG GREETING=hello
ENV WHO=world
COPY src/ /src/
RUN cat /src/*.txt > /out && echo "$GREETING $WHO" >> /out

FROM busybox
WORKDIR /app/data
COPY --from=build --chown=nobody:nogroup /out ./
ADD archive.tar.gz /unpacked
USER nobody
RUN id -u > /tmp/uid
CMD ["cat", "/app/data/out"]
`;

/** What only BuildKit's Dockerfiles have. Each RUN checks what it sees. */
export const TODAY = `# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM busybox AS tools
ARG TARGETARCH
ARG BUILDARCH
RUN test -n "$TARGETARCH" && test "$TARGETARCH" = "$BUILDARCH" && echo tool > /tool
FROM busybox
ARG WHO=world
RUN --mount=type=cache,target=/var/cache/c,id=lab echo x >> /var/cache/c/log && cp /var/cache/c/log /count
RUN --mount=type=bind,target=/in cat /in/src/a.txt > /bound && ! touch /in/x
RUN --mount=type=bind,target=/in,rw touch /in/written
RUN --mount=type=bind,target=/in ! test -e /in/written
RUN --mount=from=tools,source=/tool,target=/opt/t/tool cp /opt/t/tool /tooled
RUN --mount=type=tmpfs,target=/scratch,size=1m touch /scratch/x && grep ' /scratch tmpfs' /proc/mounts
RUN --network=none test "$(ls /sys/class/net)" = lo
RUN <<E
# no comment
echo "hello $WHO" > /said
E
RUN <<E
#!/bin/cat
a script
E
RUN cat <<A > /a && cat <<-'B' > /b
$WHO
A
	$WHO
	B
COPY <<C <<'D' /etc/conf/
who=$WHO "quoted"
C
who=$WHO
D
COPY --chmod=u=rwX,go= --chown=1:2 --link src /private/
COPY --parents src/*.txt src/./deep/c.md /kept/
COPY --exclude=*.txt --exclude=deep src /excluded/
`;
