# Driftline as an image: what it installs comes from the lock, by hash; it runs as a user without rights.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/driftline
ENV PATH=/opt/driftline/bin:$PATH
# The lock first: a change of the code leaves this layer as it is.
COPY requirements/run.txt ./
RUN pip install --no-cache-dir --quiet --require-hashes -r run.txt
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY detectors detectors
COPY streams streams
COPY load load
RUN pip install --no-cache-dir --quiet --no-deps --no-build-isolation --no-index .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --create-home driftline \
 && install -d -o driftline -g driftline /var/lib/driftline/state /var/lib/driftline/pager /var/cache/driftline
COPY --from=build /opt/driftline /opt/driftline
ENV PATH=/opt/driftline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/driftline
USER driftline
# What the defaults of state.dir and pager.dir are relative to. A variable would win over the file of whoever runs it.
WORKDIR /var/lib/driftline
# The detectors' loops are compiled now, not when the first worker starts. A machine with another kind of processor
# than the one that built this image compiles them once more, into the same place.
RUN python -m streams.loops
EXPOSE 9464
ENTRYPOINT ["driftline"]
CMD ["--help"]
