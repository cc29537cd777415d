import type { AskJob, AskJobInput } from '../../../../../queues/schemas.js';

/** What is asked in each column, apart from how it is compressed. */
export type Base = Pick<AskJob, 'video' | 'questions' | 'model' | 'sampling' | 'overTime' | 'generation'>;

export interface Budget {
  readonly dominant: number;
  readonly contextual: number;
}

export const columns = ['none', 'auto', 'other'] as const;
export type Column = (typeof columns)[number];

export const titles: Record<Column, string> = {
  none: 'No compression',
  auto: 'VisionZip, as the model has it',
  other: 'VisionZip, another budget',
};

/** Default of the third column. */
export const smallBudget: Budget = { dominant: 4, contextual: 2 };

export function jobOf(base: Base, column: Column, budget: Budget): AskJobInput {
  const compression = column === 'other' ? budget : column;
  return { ...base, compression, questions: [...base.questions] };
}

export type Ids = Readonly<Record<Column, string>>;

/** The jobs that an address names, so that a comparison can be looked at again; null unless it names all. */
export function idsOf(query: URLSearchParams): Ids | null {
  const [none, auto, other] = columns.map((column) => query.get(column));
  return none && auto && other ? { none, auto, other } : null;
}
