import type { PrefilledVideo } from './ask-video.js';
import type { Conversation } from './conversation.js';

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
  /** Conversations about these videos, for as long as somebody else holds them. */
  readonly #conversations = new Set<WeakRef<Conversation>>();
  #bytes = 0;

  /** @param limitBytes of keys and values, and of tokens. The latest video stays, and its conversation, however large they are. */
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
    this.makeRoom();
  }

  /** What a conversation keeps is counted from now on. */
  join(conversation: Conversation): void {
    this.#conversations.add(new WeakRef(conversation));
  }

  /** Keeps within the limit: what other conversations keep goes first, then the videos but for the latest. */
  makeRoom(latest?: Conversation): void {
    const joined = this.#joined();
    const spare = joined.filter((conversation) => conversation !== latest);
    if (this.#bytes + bytesOfAll(joined) > this.#limitBytes)
      for (const conversation of spare) conversation.forget();
    const beside = bytesOfAll(joined);
    for (const key of [...this.#videos.keys()].slice(0, -1)) {
      if (this.#bytes + beside <= this.#limitBytes) return;
      this.#drop(key);
    }
  }

  /** Those that are still held. */
  #joined(): Conversation[] {
    return [...this.#conversations].flatMap((reference) => {
      const conversation = reference.deref();
      if (!conversation) this.#conversations.delete(reference);
      return conversation ?? [];
    });
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

function bytesOfAll(conversations: readonly Conversation[]): number {
  return conversations.reduce((sum, { bytes }) => sum + bytes, 0);
}
