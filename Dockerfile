# The workflow with its locked environment. It runs in /study, where results, caches and a configuration of your own go:
#   docker build -t fdistill .
#   docker run --rm -v "$PWD:/study" --user "$(id -u):$(id -g)" fdistill --cores all all
# With GPUs, add `--gpus all` to `docker run`. Without, PyTorch's build for CPUs makes a far smaller image: pass the
# address of its package index, which PyTorch's installation page shows for "CPU", to `docker build` as
#   --build-arg TORCH_INDEX=ADDRESS
FROM python:3.11-slim-bookworm AS environment
ARG TORCH_INDEX=""
COPY envs/requirements.txt /tmp/requirements.txt
# A build for CPUs has the locked version and a suffix, which pip prefers where the index has it.
RUN python -m venv /opt/environment \
    && /opt/environment/bin/pip install --no-cache-dir "$(grep '^pip==' /tmp/requirements.txt)" \
    && PIP_EXTRA_INDEX_URL="$TORCH_INDEX" /opt/environment/bin/pip install --no-cache-dir -r /tmp/requirements.txt

FROM python:3.11-slim-bookworm
COPY --from=environment /opt/environment /opt/environment
COPY Snakefile CITATION.cff LICENSE /opt/fdistill/
COPY rules /opt/fdistill/rules
COPY workflow /opt/fdistill/workflow
COPY config /opt/fdistill/config
COPY profiles /opt/fdistill/profiles
COPY envs /opt/fdistill/envs
# Any user may write to HOME. Downloaded packages and Snakemake's caches go there, and remain when the container is gone.
RUN useradd --uid 1000 --create-home --home-dir /study study && chmod 1777 /study
ENV PATH=/opt/environment/bin:$PATH HOME=/study PYTHONDONTWRITEBYTECODE=1
USER 1000
WORKDIR /study
ENTRYPOINT ["snakemake", "--snakefile", "/opt/fdistill/Snakefile"]
CMD ["--help"]
