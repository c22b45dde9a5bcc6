# The service in a container: a builder with pip, a final image without compiler or build tools.
#
#   docker build -t shaken .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
#     -p 127.0.0.1:8080:8080 -v shaken-data:/data shaken
#
# Arguments go to `shaken serve`. Settings come from the environment, or from a file mounted at
# /etc/shaken/shaken.toml.

FROM python:3.11-slim-bookworm AS builder
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/shaken \
  && python -m pip --python /opt/shaken/bin/python install \
    --no-cache-dir --require-hashes -r requirements.lock \
  && python -m venv /opt/build \
  && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY sip sip
COPY trust trust
COPY shaken shaken
RUN /opt/build/bin/pip wheel \
    --no-cache-dir --no-deps --no-build-isolation --wheel-dir /build/wheels . \
  && python -m pip --python /opt/shaken/bin/python install \
    --no-cache-dir --no-deps --no-index /build/wheels/*.whl

FROM python:3.11-slim-bookworm
RUN install -d -m 0700 -o 10001 -g 10001 /data
COPY --from=builder /opt/shaken /opt/shaken
# Modules are compiled when the image is built, so that nothing is written beside them.
ENV PATH=/opt/shaken/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    SHAKEN_HTTP__ADDRESS=0.0.0.0:8080
WORKDIR /etc/shaken
USER 10001:10001
VOLUME /data
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["shaken", "serve", "--data-dir", "/data"]
