# What `.ci/run` needs, and nothing else:
#
#     docker build -t perturbation-benchmark .
#     docker run --rm perturbation-benchmark                                        runs .ci/run
#     docker run --rm perturbation-benchmark .venv/bin/python -m benchmark doctor   or any other command
#
# Runs are kept in /runs: `-v "$PWD/runs:/runs"` keeps them when the container ends.
FROM python:3.11-slim-bookworm

RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends build-essential chromium chromium-driver git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /benchmark

# Packages change less often than the code: they are a layer of their own.
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY benchmark/__init__.py benchmark/
RUN mkdir -p methods datasets/genes datasets/gene_tables datasets/priors splits leaderboard && make setup

COPY . .
ENV BENCHMARK_HOME=/runs
VOLUME /runs
CMD [".ci/run"]
