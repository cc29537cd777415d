"""Reads frames with PyAV or torchcodec, for `npm run bench -- --peers`.

Each line on standard input asks {"reader", "file", "frames", "threads", "exact"}; each line on standard output answers
{"ms", "ptsSeconds", "shape"}: the time to open the file and to have that many frames, equally spaced by their number, as RGB.
"""

import json
import sys
import time

import av
import numpy as np
from torchcodec.decoders import VideoDecoder


def read_torchcodec(file, frames, threads, exact):
    decoder = VideoDecoder(file, num_ffmpeg_threads=threads, seek_mode="exact" if exact else "approximate")
    indices = np.linspace(0, decoder.metadata.num_frames - 1, frames, dtype=int)
    batch = decoder.get_frames_at(indices.tolist())
    pictures = batch.data.permute(0, 2, 3, 1).numpy()
    return batch.pts_seconds.tolist(), pictures.shape


def read_pyav(file, frames, **_):
    """One seek a frame, or none where the frame is decoded next anyway."""
    with av.open(file) as container:
        stream = container.streams.video[0]
        step = 1 / (stream.average_rate * stream.time_base)
        wanted = [int(i * step) for i in np.linspace(0, stream.frames - 1, frames, dtype=int)]
        interval = int(250 * step)
        pictures, decoded, last = [], None, None
        for pts in wanted:
            if last is None or pts - last > interval:
                container.seek(pts, stream=stream)
                decoded = container.decode(stream)
            frame = next(frame for frame in decoded if frame.pts >= pts)
            last = frame.pts
            pictures.append((frame.time, frame.to_ndarray(format="rgb24")))
    return [time for time, _ in pictures], (len(pictures), *pictures[0][1].shape)


READERS = {"pyav": read_pyav, "torchcodec": read_torchcodec}

for line in sys.stdin:
    request = json.loads(line)
    read = READERS[request.pop("reader")]
    start = time.perf_counter()
    pts_seconds, shape = read(**request)
    ms = 1000 * (time.perf_counter() - start)
    print(json.dumps({"ms": ms, "ptsSeconds": pts_seconds, "shape": list(shape)}), flush=True)
