# Two images from one file; docs/how-to/docker.md says how to use them.
#   docker build --target harvester .    collects; no torch
#   docker build --target finetune .     trains and measures, with the CUDA build of torch
FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# libgomp1: the embedded teacher is linked against it, and the slim image lacks it.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# The user's files come in under /work. The home folder holds what is kept beside them: the trust list and weights.
RUN useradd --create-home --uid 1000 harvester && install --directory --owner harvester /work
WORKDIR /work
# Ctrl-C and SIGTERM stop cleanly: exit code 3, and the same command goes on.
STOPSIGNAL SIGTERM

# The project with nothing in it: enough for pip to install what it depends on, and the same until those change.
FROM base AS declared
COPY pyproject.toml constraints.txt /source/
RUN cd /source && touch README.md LICENSE && mkdir harvester finetune prompts \
    && touch harvester/__init__.py finetune/__init__.py

FROM base AS harvester
COPY --from=declared /source /source
RUN pip install --constraint /source/constraints.txt "/source[embedded]"
COPY . /source
RUN pip install --no-deps --force-reinstall /source
USER harvester
CMD ["harvester", "--help"]

FROM base AS finetune
# First and by itself: the largest layer. For a CPU alone: TORCH="torch==2.13.0 --index-url <the CPU index of pytorch.org>"
ARG TORCH=torch==2.13.0
RUN pip install ${TORCH}
COPY --from=declared /source /source
RUN pip install --constraint /source/constraints.txt "/source[finetune,qlora,tensorboard]"
COPY . /source
RUN pip install --no-deps --force-reinstall /source
USER harvester
CMD ["finetune", "--help"]
