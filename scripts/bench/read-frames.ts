import { pathToFileURL } from 'node:url';
import { decodeFrames } from '../../src/media/decode.js';
import { defaultLimits, openVideo } from '../../src/media/open.js';
import { sampleFrames } from '../../src/pipeline/sample.js';

/** What some reader made of a clip. */
export interface ReadFrames {
  /** To open the file and to have its frames. */
  readonly ms: number;
  readonly ptsSeconds: readonly number[];
  /** (frames, height, width, 3). */
  readonly shape: readonly number[];
}

/** Opens a clip and reads that many frames at full size, equally spaced, as the pipeline does. */
export async function readFrames(file: string, frames: number): Promise<ReadFrames> {
  const start = performance.now();
  const video = await openVideo(file, defaultLimits);
  const indices = sampleFrames(video, { frames }, frames);
  // All are kept, as the peers do.
  const read = [];
  for await (const frame of decodeFrames(video, indices, { timeoutMs: defaultLimits.decodeTimeoutMs })) {
    read.push(frame);
  }
  const ms = performance.now() - start;
  const { width, height } = read[0]!;
  return { ms, ptsSeconds: read.map(({ ptsSeconds }) => ptsSeconds), shape: [read.length, height, width, 3] };
}

// As a process of its own: FILE FRAMES.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , file = '', frames = ''] = process.argv;
  console.log(JSON.stringify(await readFrames(file, Number(frames))));
}
