import type { RefObject } from 'preact';
import { useState } from 'preact/hooks';

interface PlayerProps {
  readonly src: string;
  /** Width by height, as far as it is known beforehand. */
  readonly aspect: number;
  readonly video: RefObject<HTMLVideoElement | null>;
  onTime(seconds: number): void;
}

/** The video itself, where this machine can read it and the browser can play it. */
export function Player({ src, aspect, video, onTime }: PlayerProps) {
  const [isPlayable, setPlayable] = useState(true);
  const tell = (event: Event) => onTime((event.currentTarget as HTMLVideoElement).currentTime);
  return (
    <div class="player">
      <video
        ref={video}
        src={src}
        style={{ aspectRatio: String(aspect) }}
        controls
        muted
        playsInline
        preload="metadata"
        aria-label="The video"
        onTimeUpdate={tell}
        onSeeking={tell}
        onError={() => setPlayable(false)}
      />
      {!isPlayable && (
        <p class="soft small">This browser cannot play the file; the frames show what the model saw.</p>
      )}
    </div>
  );
}
