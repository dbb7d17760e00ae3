# cyclopean on a CPU, as a user without rights:
#   docker build -t cyclopean .
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" cyclopean predict photo.jpg
# torch's build without CUDA is 2 GB smaller: give pip its place, which torch's install page names, by
#   --build-arg PIP_EXTRA_INDEX_URL=...
# hadolint 2.15.1 finds nothing in it; it was written where no Docker runs: nobody has built it yet.
FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip install --no-cache-dir build==1.6.1 && PIP_CONSTRAINT=/source/constraints.txt python -m build --wheel --outdir /dist

FROM python:3.11-slim
ARG PIP_EXTRA_INDEX_URL=""
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /dist /tmp/dist
RUN python -m pip install --no-cache-dir -c /tmp/constraints.txt torch \
  && python -m pip install --no-cache-dir -c /tmp/constraints.txt "$(ls /tmp/dist/*.whl)[app]" \
  && rm -r /tmp/dist /tmp/constraints.txt \
  && useradd --create-home --uid 1000 cyclopean
USER 1000
ENV HF_HOME=/tmp/huggingface
WORKDIR /data
ENTRYPOINT ["cyclopean"]
CMD ["--help"]
