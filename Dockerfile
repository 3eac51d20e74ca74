# The commands garment-train, garment-generate and so on, from the pins of requirements.txt.  docs/installing.md
#   docker build -t garment .                                                                  for a CPU
#   docker build -t garment --build-arg TORCH=https://download.pytorch.org/whl/cu130 .         for NVIDIA GPUs
FROM python:3.11-slim

# what OpenCV's wheel takes from the system
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY requirements.txt .
RUN grep -E '^torch(vision)?==' requirements.txt > torch.txt \
    && pip install --no-cache-dir --index-url "$TORCH" -r torch.txt \
    && pip install --no-cache-dir -r requirements.txt

COPY . .
RUN pip install --no-cache-dir --no-deps . && rm -rf /source

# only what is mounted here outlives a container: data/, training/, models/, runs/
WORKDIR /garments
RUN useradd --uid 1000 garment && chown garment /garments
USER garment
CMD ["garment-train", "--help"]
