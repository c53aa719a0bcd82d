# Every image of this project: files and nothing else, in layers by how rarely they change. There is no shell, no package manager and no step that runs.
#
# Its context is what `cargo xtask image KIND --stage DIR` makes (docs/images.md), not the checkout:
#
#   system/    the loader, shared libraries, certificates, users          home/     what the user may write to, below /var/lib/fltk
#   data/      data sets                                                  program/  the programs, and what all of it is made of (SBOM)
#
# `cargo xtask image KIND` builds it with buildah. With Docker: docker build --target KIND --tag NAME DIR
FROM scratch AS files
COPY system/ /
COPY data/ /
# A volume that Docker mounts there takes the owner over.
COPY --chown=65532:65532 home/ /var/lib/fltk/
COPY program/ /
USER 65532:65532
# Which folders a loader knows by itself differs between systems.
ENV LD_LIBRARY_PATH=/usr/local/lib/fltk
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-2-Clause"

# Real TensorBoard, for the event files that runs leave.
FROM files AS tensorboard
ENV PYTHONPATH=/usr/local/lib/tensorboard PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
EXPOSE 6006
ENTRYPOINT ["/usr/local/bin/tensorboard"]
CMD ["--logdir", "/var/lib/fltk/runs", "--bind_all"]
LABEL org.opencontainers.image.title="tensorboard" \
      org.opencontainers.image.description="TensorBoard for the records of fltk" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM files AS fltk
# Data sets in a volume of that place are found.
ENV FLTK_DATA=/var/lib/fltk/data
ENTRYPOINT ["/usr/local/bin/fltk"]
LABEL org.opencontainers.image.title="fltk"

FROM fltk AS orchestrator
LABEL org.opencontainers.image.description="The orchestrator of fltk, without libtorch: what tells a cluster to train"

# What NVIDIA's container toolkit puts in, the driver's libcuda, lies in the other folders.
FROM fltk AS cuda
ENV LD_LIBRARY_PATH=/usr/local/lib/fltk:/usr/lib/x86_64-linux-gnu:/usr/lib64:/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.description="fltk with libtorch's CUDA part. It has not been run on a GPU, and fltk trains on the CPU"

FROM fltk AS training
LABEL org.opencontainers.image.description="fltk with libtorch for the CPU and Fashion-MNIST: what trains"
