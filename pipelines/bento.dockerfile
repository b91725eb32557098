# A release's image for who has the Bento and Docker only: docker build -f env/docker/Dockerfile . in the Bento's folder.
# The pipeline writes the same image without a container tool, over a runtime image that releases share (see toolchain/images).
ARG BASE=python:3.11-slim
FROM ${BASE}
USER root
COPY src/ /bento/src/
# The runtime image has the packages already; on a plain Python image they are installed here, hashes checked.
RUN if [ ! -x /opt/server/bin/bentoml ]; then \
    python3 -m venv /opt/server && \
    /opt/server/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /bento/src/requirements.txt && \
    /opt/server/bin/pip uninstall --yes pip; \
    fi
ENV PATH=/opt/server/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    BENTOML_HOME=/tmp/bentoml BENTOML_DO_NOT_TRACK=True DO_NOT_TRACK=1 ORT_DISABLE_TELEMETRY=1
WORKDIR /bento/src
EXPOSE 3000
USER 10001:10001
CMD ["python", "-m", "serving", "--host", "0.0.0.0", "--port", "3000"]
