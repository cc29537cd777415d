import type { PrefilledVideo } from './ask-video.js';

/** An encoded and prefilled video. */
export interface CachedVideo extends PrefilledVideo {
  /** Of each frame for which another stands in: how far that one is away, in seconds. */
  readonly substituted: ReadonlyMap<number, number>;
}

/**
 * Videos that lie prefilled in the language model, the least recently asked of which give way: a cache of keys and values is
 * large. Exact prefixes only; at another position they would be worth half (arXiv 2606.23581).
 */
export class PrefixCache {
  readonly #limitBytes: number;
  /** The least recently used first. */
  readonly #videos = new Map<string, CachedVideo>();
  #bytes = 0;

  /** @param limitBytes of keys and values, and of tokens. The latest video stays, however large it is. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get(key: string): CachedVideo | undefined {
    const video = this.#videos.get(key);
    if (video) {
      this.#videos.delete(key);
      this.#videos.set(key, video);
    }
    return video;
  }

  set(key: string, video: CachedVideo): void {
    this.#drop(key);
    this.#videos.set(key, video);
    this.#bytes += bytesOf(video);
    this.#makeRoom();
  }

  #makeRoom(): void {
    for (const key of [...this.#videos.keys()].slice(0, -1)) {
      if (this.#bytes <= this.#limitBytes) return;
      this.#drop(key);
    }
  }

  #drop(key: string): void {
    const video = this.#videos.get(key);
    if (!video) return;
    this.#videos.delete(key);
    this.#bytes -= bytesOf(video);
  }
}

function bytesOf({ cache, tokens }: CachedVideo): number {
  return tokens.blocks.reduce((sum, { embeds }) => sum + embeds.byteLength, cache.bytes);
}
