/** What the probe says of a video file. Nothing here is trusted for allocation. */
export interface VideoInfo {
  /** Real path of the regular file. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Index of the video stream that ffmpeg itself would pick (cover art excluded). */
  readonly streamIndex: number;
  readonly codec: string;
  readonly container: string;
  /** Length of the video stream in seconds; 0 for a still picture. */
  readonly durationSeconds: number;
  /** Average frame rate, frames a second; 0 for a still picture. */
  readonly fps: number;
  /** Displayed size in pixels, rotation applied. */
  readonly width: number;
  readonly height: number;
  /** Clockwise rotation that players apply, in degrees: 0, 90, 180 or 270. */
  readonly rotation: number;
  /** True for a picture file, which is treated as a video of one frame. */
  readonly isStill: boolean;
  /** In what the frames differ from the file as it was meant; empty for most. */
  readonly warnings: readonly VideoWarning[];
}

/**
 * - `truncated`: the file ends in the middle of its video.
 * - `damaged`: frames could not be decoded, and others stand in for them.
 * - `joined`: the container's clock starts anew within the file; its parts were put one behind the other.
 * - `tone-mapped`: high dynamic range was brought into SDR.
 */
export interface VideoWarning {
  readonly kind: 'truncated' | 'damaged' | 'joined' | 'tone-mapped';
  /** One sentence, for people. */
  readonly message: string;
}

/** A decoded frame as a player shows it, RGB, 8 bit. */
export interface Frame {
  /** Position among the sampled frames, from 0. */
  readonly index: number;
  /** From the first frame shown. */
  readonly ptsSeconds: number;
  readonly width: number;
  readonly height: number;
  /** (height, width, 3), row-major. */
  readonly rgb: Uint8Array;
}

/** What a video may cost before anything of it is decoded. */
export interface Limits {
  /** Default 4 GiB. */
  readonly maxBytes: number;
  /** Length of the video; default 4 hours. */
  readonly maxSeconds: number;
  /** Pixels of one frame; default 35,651,584 (8,192 × 4,352). */
  readonly maxPixels: number;
  /** The decoder is killed after this; default 10 minutes. */
  readonly decodeTimeoutMs: number;
}
