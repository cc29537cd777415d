import { openReaders, type ReadOptions } from './decode-reader.js';
import { last, startsAt } from './decode-start.js';
import type { OpenedVideo } from './open.js';

/** Groups of pictures on each side of a frame that are searched for another. */
const MAX_DISTANCE = 64;

/**
 * Finds the sound frame nearest to one that is damaged; for one that is never shown, the frame on display at its time.
 * Groups of pictures are decoded for that, from the frame's own outwards.
 *
 * @returns its position in `ptsSeconds`, or null.
 */
export class Substitutes {
  readonly #surveys = new Map<number, Promise<readonly number[]>>();

  constructor(
    private readonly video: OpenedVideo,
    private readonly options: Pick<ReadOptions, 'deadline' | 'signal'>,
  ) {}

  async find(index: number, why: 'damaged' | 'absent'): Promise<number | null> {
    const { keyframes, ptsSeconds } = this.video.index;
    const group = keyframes.indexOf(last(keyframes, index));
    const distance = (at: number) => Math.abs(ptsSeconds[at]! - ptsSeconds[index]!);
    for (let d = 0; d <= MAX_DISTANCE; d++) {
      const groups = [...new Set([group - d, group + d])].filter((g) => g >= 0 && g < keyframes.length);
      if (groups.length === 0) return null;
      const sound = (await Promise.all(groups.map((g) => this.#survey(g)))).flat();
      const before = why === 'absent' ? sound.filter((at) => at < index) : [];
      if (before.length > 0) return Math.max(...before);
      if (sound.length > 0) return sound.reduce((best, at) => (distance(at) < distance(best) ? at : best));
    }
    return null;
  }

  #survey(group: number): Promise<readonly number[]> {
    const survey = this.#surveys.get(group) ?? this.#lookThrough(group);
    this.#surveys.set(group, survey);
    return survey;
  }

  /** The sound frames from a keyframe up to the next. */
  async #lookThrough(group: number): Promise<readonly number[]> {
    const { keyframes, ptsSeconds } = this.video.index;
    const first = keyframes[group]!;
    const end = Math.min(keyframes[group + 1] ?? Number.POSITIVE_INFINITY, ptsSeconds.length - 1);
    for (const start of startsAt(this.video, first)) {
      const { readers, stop } = await openReaders(this.video, [{ indices: [end], start }], {
        ...this.options,
        ...{ threads: 1, holds: false, isSurvey: true },
      });
      try {
        const sound: number[] = [];
        let isLate = false;
        for (let index = first; index <= end && !isLate; index++) {
          const verdict = await readers[0]!.judge(index);
          if (verdict === 'sound') sound.push(index);
          isLate = verdict === 'late';
        }
        if (!isLate) return sound;
      } finally {
        await stop();
      }
    }
    return [];
  }
}
