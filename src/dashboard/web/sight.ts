/** What the model saw of a frame, as `GET /api/jobs/:id/sight` says it. Patches count row by row from 0. */
export interface SightFrame {
  readonly index: number;
  readonly ptsSeconds: number;
  /** WebP in base64. */
  readonly picture: string | null;
  /** Of the frame that shows the same, its `index`. */
  readonly sameAs?: number | null;
  readonly grid: { readonly rows: number; readonly columns: number };
  readonly dominant: readonly number[];
  /** Patches that an earlier frame's tokens stand for. */
  readonly static?: readonly number[];
  /** Of each contextual token the patches that were merged into it, its target first. */
  readonly contextual: readonly (readonly number[])[];
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

export interface Sight {
  readonly width: number;
  readonly height: number;
  readonly frames: readonly SightFrame[];
}
