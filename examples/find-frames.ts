/**
 * Finds the frames that are most like one that was seen: node find-frames.js SECONDS FILE FILE... The files are those of the store of
 * encoded videos (`visionzip store list --json` says which is whose); the frame is the first file's at that time.
 */
import { readFile } from 'node:fs/promises';
import { readFrameVectors, type StoredVectors } from 'visionzip-worker/pipeline';

const [seconds, ...files] = process.argv.slice(2);
if (!seconds || files.length === 0) throw new Error('expected a time in seconds and files of the store');

const videos: { file: string; vectors: StoredVectors }[] = [];
for (const file of files) {
  const vectors = readFrameVectors(await readFile(file));
  if (!vectors) throw new Error(`${file} is no encoded video of this version`);
  videos.push({ file, vectors });
}

const [{ vectors: first }] = videos as [(typeof videos)[number]];
const away = (ptsSeconds: number) => Math.abs(ptsSeconds - Number(seconds));
const wanted = first.frames.reduce((a, b) => (away(b.ptsSeconds) < away(a.ptsSeconds) ? b : a)).index;
const query = first.values.subarray(wanted * first.D, (wanted + 1) * first.D);

// Each vector is of length 1: the sum of products is the cosine.
const found = videos.flatMap(({ file, vectors: { D, values, frames } }) =>
  frames.map(({ index, ptsSeconds }) => {
    const cosine = query.reduce((sum, value, d) => sum + value * values[index * D + d]!, 0);
    return { file, ptsSeconds, cosine };
  }),
);
found.sort((a, b) => b.cosine - a.cosine);
for (const { file, ptsSeconds, cosine } of found.slice(0, 10))
  console.log(`${cosine.toFixed(4)} ${ptsSeconds.toFixed(1)} s of ${file}`);
