# Two images from one file:
#   docker build --target harvester .    collects; no torch
#   docker build --target finetune .     trains and measures, with the CUDA build of torch
FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The user's files come in under /work; the cache holds the embedded teacher's weights.
RUN useradd --create-home --uid 1000 harvester && mkdir -p /work /cache && chown harvester /work /cache
ENV HARVESTER_CACHE=/cache HF_HOME=/cache/huggingface
COPY pyproject.toml constraints.txt README.md LICENSE /source/
COPY harvester /source/harvester
COPY finetune /source/finetune
COPY prompts /source/prompts
WORKDIR /work
# Ctrl-C and SIGTERM stop cleanly: exit code 3, and the same command goes on.
STOPSIGNAL SIGTERM

FROM base AS harvester
RUN pip install --constraint /source/constraints.txt "/source[embedded]"
USER harvester
CMD ["harvester", "--help"]

FROM base AS finetune
# First and by itself, in a layer that a change of the source does not touch.
RUN pip install torch==2.13.0
RUN pip install --constraint /source/constraints.txt "/source[embedded,finetune,qlora,tensorboard]"
USER harvester
CMD ["finetune", "--help"]
