import type { Share } from '../scores/intervals.js';
import type { AnsweredRow, timeNames } from './answered-row.js';

/** The share of right answers among rows of one name. */
export interface NamedShare extends Share {
  readonly name: string;
}

export interface StageTime {
  /** As in `run.timings`. */
  readonly name: (typeof timeNames)[number];
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** Of the whole time of all jobs. */
  readonly share: number;
}

/** A row that is shown for itself. */
export type ShownRow = Pick<
  AnsweredRow,
  | 'line'
  | 'video'
  | 'question'
  | 'options'
  | 'answer'
  | 'prediction'
  | 'kind'
  | 'category'
  | 'likelihood'
  | 'ptsSeconds'
>;

/** What one run comes to. */
export interface RunReport {
  readonly file: string;
  readonly models: readonly string[];
  /** How many different options of the command its rows were made with. */
  readonly settings: number;
  readonly rows: {
    readonly completed: number;
    readonly failed: number;
    readonly cancelled: number;
    /** Answers that could be scored. */
    readonly scored: number;
    /** Answers that were there before, for which nothing was computed. */
    readonly cached: number;
    /** Lines that are no rows of answers. */
    readonly unreadable: number;
  };
  readonly accuracy: Share;
  readonly byKind: readonly NamedShare[];
  readonly byCategory: readonly NamedShare[];
  /** Means over the answered rows that say them. */
  readonly tokens: {
    readonly rows: number;
    readonly frames: number;
    readonly before: number;
    readonly after: number;
  };
  readonly times: { readonly jobs: number; readonly stages: readonly StageTime[] };
  /** Most first. */
  readonly failures: readonly {
    readonly fault: string | null;
    readonly status: AnsweredRow['status'];
    readonly count: number;
    readonly example: Pick<AnsweredRow, 'line' | 'video' | 'question'> & { readonly error: string };
  }[];
  /** Wrong answers, those first of which the model was surest; without likelihoods in the order of the file. */
  readonly wrong: readonly ShownRow[];
  readonly slowest: readonly {
    readonly video: string;
    readonly question: string;
    readonly rows: number;
    readonly totalMs: number;
    readonly longest: { readonly name: string; readonly ms: number };
  }[];
}

/** How the rows that two runs share went. */
export interface PairedCounts {
  readonly bothRight: number;
  readonly bothWrong: number;
  /** Right now, wrong before. */
  readonly better: number;
  /** Wrong now, right before. */
  readonly worse: number;
}

/** A row whose verdict changed. */
export interface ChangedRow extends ShownRow {
  readonly predictionBefore: string | null;
}

/** Two runs, row by row. */
export interface Comparison extends PairedCounts {
  /** The run that is compared with. */
  readonly before: RunReport;
  /** Rows that are in both; those that could be scored in both are in the counts. */
  readonly shared: number;
  readonly onlyBefore: number;
  readonly onlyNow: number;
  /** Of McNemar's exact test: see `mcNemar`. */
  readonly p: number;
  readonly byKind: readonly ({ readonly name: string } & PairedCounts)[];
  /** The first of each, in the order of the file. */
  readonly betterRows: readonly ChangedRow[];
  readonly worseRows: readonly ChangedRow[];
}

/** What `makeReport` gives. */
export interface Report extends RunReport {
  readonly comparison?: Comparison;
}
