# CPU:   docker build -t seepseg:0.1.0 .
# CUDA:  docker build -t seepseg:0.1.0-cuda --build-arg VARIANT=cuda .      run it with --gpus all
# Use:   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" seepseg:0.1.0 predict runs/best SCENES -o out
FROM python:3.11-slim-trixie AS build
ARG VARIANT=cpu
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
WORKDIR /src
COPY constraints.txt ./
# torch alone, by its exact version: its index for CPUs holds other versions of what it needs than those pinned.
RUN case "$VARIANT" in \
        cpu) index=https://download.pytorch.org/whl/cpu ;; \
        cuda) index=https://pypi.org/simple ;; \
        *) echo "VARIANT is cpu or cuda, not $VARIANT" >&2; exit 2 ;; \
    esac; \
    python -m venv /opt/seepseg; \
    /opt/seepseg/bin/pip install --no-deps --index-url "$index" "$(grep '^torch==' constraints.txt)"
COPY . .
RUN /opt/seepseg/bin/pip install '.[dask,imagenet]' && /opt/seepseg/bin/pip check

FROM python:3.11-slim-trixie
# rasterio's wheel takes it from the system. Debian keeps one version a release, so that a pin would break the build.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/seepseg /opt/seepseg
RUN useradd --uid 1000 --create-home seepseg
# Compiled loops and fonts are cached below HOME, also for the user of `docker run --user`, who has none.
ENV PATH=/opt/seepseg/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 NO_ALBUMENTATIONS_UPDATE=1
USER 1000
WORKDIR /work
ENTRYPOINT ["seepseg"]
CMD ["--help"]
