# Nightshift as a container: docs/deployment.md says how to run it.
# Any image of glibc Linux will do that has Python 3.11 to 3.14 with venv:
#     docker build --build-arg BASE=python:3.14-slim-bookworm --build-arg EXTRAS=offsite,notify .
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
# A mirror of PyPI, where a build needs one; certificates to trust belong into BASE.
ARG PIP_INDEX_URL
# Extras of setup.cfg, with commas between them: notify, offsite, otel. The page is in every image.
ARG EXTRAS=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Two environments: what is shipped has neither pip nor setuptools.
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/nightshift
COPY requirements*.txt /src/
RUN lists="-r /src/requirements.txt"; \
    for extra in $(echo "$EXTRAS" | tr , ' '); do \
        [ "$extra" = web ] || lists="$lists -r /src/requirements-$extra.txt"; \
    done; \
    /build/bin/pip install --require-hashes --only-binary=:all: -r /src/requirements-build.txt \
 && /build/bin/pip --python /opt/nightshift/bin/python install \
    --require-hashes --only-binary=:all: $lists
COPY setup.cfg pyproject.toml README.md LICENSE jobs.yaml /src/
COPY supervisor /src/supervisor
COPY workers /src/workers
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel /src \
 && /build/bin/pip --python /opt/nightshift/bin/python install --no-deps --no-index /wheel/*.whl

FROM ${BASE}
# Debian's packages that jobs need, such as openssh-client for sftp:// places.
ARG PACKAGES=
RUN [ -z "$PACKAGES" ] || { apt-get update \
 && apt-get install --yes --no-install-recommends $PACKAGES && rm -rf /var/lib/apt/lists/*; }
# The volumes are open to every uid (and no uid may remove another's files), so that
# any `user:` works; what lies in them is the user's own, and the state folder private.
RUN groupadd --gid 10001 cron \
 && useradd --uid 10001 --gid cron --no-create-home --home-dir /var/lib/nightshift \
    --shell /usr/sbin/nologin cron \
 && mkdir -p /etc/nightshift /var/lib/nightshift /data /backups /run/nightshift \
 && chmod 1777 /var/lib/nightshift /data /backups /run/nightshift
COPY --from=build /opt/nightshift /opt/nightshift
# The default, for as long as nothing is mounted over its folder.
COPY jobs.yaml /etc/nightshift/jobs.yaml
RUN chmod 0644 /etc/nightshift/jobs.yaml
ENV PATH=/opt/nightshift/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    NIGHTSHIFT_CONFIG=/etc/nightshift/jobs.yaml \
    NIGHTSHIFT_STATE_DIR=/var/lib/nightshift/state \
    NIGHTSHIFT_SHUTDOWN_GRACE=7s \
    CATALOGUE_PATH=/data/catalogue \
    DATABASE_PATH=/data/pokemon-data.sqlite3.db \
    BACKUP_DIR=/backups
VOLUME ["/var/lib/nightshift", "/data", "/backups"]
WORKDIR /etc/nightshift
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s --retries=3 \
    CMD ["nightshift", "healthcheck"]
ENTRYPOINT ["nightshift"]
CMD ["start"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nightshift" \
      org.opencontainers.image.description="A cron service that contains every job" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
