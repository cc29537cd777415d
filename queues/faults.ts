import type { z } from 'zod';
import type { FaultKind } from './schemas.js';

type Issue = z.core.$ZodIssue;

/**
 * One sentence for what a schema refused: each fault with its place in backticks, joined by "; ".
 *
 *     `sampling.frames`: Too small: expected number to be >=1; `colour`: unknown field
 */
export function describeFaults(error: z.ZodError): string {
  return error.issues.flatMap((issue) => describe(issue, [])).join('; ');
}

/** Which part of a job its schema refused first. */
export function faultOfJob({ issues: [first] }: z.ZodError): Exclude<FaultKind, 'internal'> {
  const [field] = first?.path ?? [];
  if (field === 'video' || field === 'model') return field;
  return field === 'questions' || field === 'history' ? 'question' : 'settings';
}

function describe(issue: Issue, above: readonly PropertyKey[]): string[] {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${place([...path, key])}: unknown field`);
  }
  if (issue.code === 'invalid_union') {
    const closest = issue.errors.find((branch) => branch.every(isDeeper));
    if (closest) return closest.flatMap((inner) => describe(inner, path));
    return [`${place(path)}: ${[...new Set(expectedOf(issue))].join(', or ')}`];
  }
  return [`${place(path)}: ${lowerFirst(issue.message)}`];
}

/** What each branch of a union expected, of unions within it as well. */
function expectedOf(issue: Issue): string[] {
  if (issue.code !== 'invalid_union') return [lowerFirst(issue.message)];
  return issue.errors.flatMap((branch) => branch.flatMap(expectedOf));
}

/** Whether a branch of a union had the right type and failed on something inside. */
function isDeeper(issue: Issue): boolean {
  if (issue.code === 'invalid_union') return issue.errors.some((branch) => branch.every(isDeeper));
  return issue.path.length > 0 || !['invalid_type', 'invalid_value'].includes(issue.code);
}

function place(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text === '' ? 'the job' : `\`${text.replace(/^\./, '')}\``;
}

function lowerFirst(text: string): string {
  return text.replace(/^[A-Z](?![A-Z])/, (letter) => letter.toLowerCase()).replace(/^invalid input: /, '');
}
