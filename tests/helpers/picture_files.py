"""Pictures as files of every format, and what makes them bad."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def make_pixels(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """A smooth picture (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1)


def encode(kind: str, **settings) -> bytes:
    """A picture of 60 x 40 px in a format of PIL."""
    file = io.BytesIO()
    Image.fromarray(make_pixels()).save(file, kind, **settings)
    return file.getvalue()


def with_thumbnail(picture: bytes) -> bytes:
    """A JPEG that holds a smaller one, of which the end marker is that of a picture, in its header."""
    thumbnail = cv2.imencode('.jpg', make_pixels(8, 8))[1].tobytes()
    return picture[:2] + b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail + picture[2:]


PICTURES = {
    'jpeg': encode('JPEG', quality=95),
    'progressive': encode('JPEG', quality=95, progressive=True),
    'restarts': encode('JPEG', quality=95, restart_marker_blocks=2),
    'thumbnail': with_thumbnail(encode('JPEG', quality=100)),
    'png': encode('PNG'),
    'gray png': cv2.imencode('.png', make_pixels()[..., 0])[1].tobytes(),
}
"""Files of the formats whose structure is read, by what they are called in tests."""

TAILS = {
    'zeros': bytes(20_000),
    'video': b'\0\0\0\x18ftypmp42' + np.random.default_rng(1).integers(0, 256, 20_000, dtype=np.uint8).tobytes(),
    'json': b'{"MotionPhoto": 1}' * 500,
    'zip': b'PK\x03\x04' + bytes(5000) + b'PK\x05\x06',
    'second picture': encode('JPEG', quality=30),
}
"""What programs append to pictures."""


def write_video(path: Path, num_frames: int, size: int = 64) -> None:
    """An AVI of noisy JPEG frames (size x size), frame i with a gray of 40 i on average."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (size, size))
    for i in range(num_frames):
        noise = np.random.default_rng(i).integers(-30, 30, (size, size, 1))
        video.write(np.clip(40 * i + noise, 0, 255).astype(np.uint8).repeat(3, axis=2))
    video.release()


def state_frames(path: Path, count: int) -> None:
    """Overwrites the number of frames in the header of an AVI."""
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b'avih', 8 + 16), (b'strh', 8 + 32)):
        start = data.index(chunk) + offset
        data[start : start + 4] = count.to_bytes(4, 'little')
    path.write_bytes(data)
