import type { Sight, SightFrame } from '../../../../../queues/sight.js';
import type { JobDetail } from '../../../api/schemas.js';

/** A frame that was sampled: what of it is known, with or without its picture. */
export interface Moment {
  readonly seconds: number;
  /** Visual tokens; null where nobody said. */
  readonly tokens: number | null;
  readonly before: number | null;
  /** Of the frame that shows the same, its place and time. */
  readonly sameAs: { readonly place: number; readonly seconds: number } | null;
  readonly frame: SightFrame | null;
  /** Its picture, or that of the frame that shows the same. */
  readonly picture: string | null;
}

/** All that were sampled, in order. Pictures are there while they are kept; times and counts are in the document. */
export function momentsOf({ document }: JobDetail, sight: Sight | null): Moment[] {
  if (sight) return sight.frames.map((frame) => momentOf(frame, sight));
  if (document?.status !== 'completed') return [];
  const { frames, plan } = document;
  return frames.map(({ ptsSeconds, tokens, sameAs }) => ({
    seconds: ptsSeconds,
    tokens,
    before: plan.tokensPerFrameBefore,
    sameAs: sameAs === undefined ? null : sameMoment(sameAs, frames[sameAs]?.ptsSeconds),
    frame: null,
    picture: null,
  }));
}

/** What is said where no frame has a picture; null where one has. */
export function whyNoPictures(moments: readonly Moment[]): string | null {
  if (moments.length === 0 || moments.some(({ picture }) => picture !== null)) return null;
  if (moments.some(({ frame }) => frame !== null))
    return 'There are no pictures of the frames: the video had been encoded before, and is not decoded again for them.';
  return 'Pictures of the frames are not kept for this job, or no longer; their times and tokens are.';
}

function momentOf(frame: SightFrame, { frames }: Sight): Moment {
  const place = frame.sameAs ?? null;
  const other = place === null ? undefined : frames[place];
  return {
    seconds: frame.ptsSeconds,
    tokens: frame.tokensAfter,
    before: frame.tokensBefore,
    sameAs: place === null ? null : sameMoment(place, other?.ptsSeconds),
    frame,
    picture: frame.picture ?? other?.picture ?? null,
  };
}

/** Null where another version counts frames otherwise. */
function sameMoment(place: number, seconds: number | undefined): Moment['sameAs'] {
  return seconds === undefined ? null : { place, seconds };
}
