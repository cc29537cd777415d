import { createInterface } from 'node:readline';
import { createLanguage } from '../../src/models/language.js';
import { Session } from '../../src/models/session.js';
import { argmax } from '../../src/pipeline/sampler.js';
import type { Answered, AnswerRequest } from './decoder.js';

// A decoder in a process of its own: DECODER EMBED_TOKENS THREADS. Each line on standard input is a request in JSON, each
// line on standard output its answer.

const [decoderFile, embedFile, threads] = process.argv.slice(2);
const decoder = await Session.load(decoderFile!, Number(threads), {
  inputs: ['inputs_embeds'],
  outputs: ['logits'],
});
const embedTokens = await Session.load(embedFile!, 1, { inputs: ['input_ids'], outputs: ['inputs_embeds'] });
const language = createLanguage({
  ...{ decoder, embedTokens, contextLength: 8192, eosTokenIds: [] },
  ...{ newline: undefined, rope: undefined },
});

for await (const line of createInterface({ input: process.stdin })) {
  const answered = await answer(JSON.parse(line) as AnswerRequest);
  console.log(JSON.stringify(answered));
}

/** Greedily, whatever the tokens are. */
async function answer({ ids, newTokens }: AnswerRequest): Promise<Answered> {
  const answered: number[] = [];
  const [stepMs, insideMs, embedMs, pickMs]: number[][] = [[], [], [], []];
  const cpuAtStart = cpuMs();
  let cpuAtFirst = 0;
  let started = performance.now();
  let embeds = await language.embed(ids);
  let { logits, cache } = await language.forward({ embeds, S: ids.length }, null);
  for (;;) {
    const decoded = performance.now();
    answered.push(argmax(logits));
    const picked = performance.now();
    if (answered.length === 1) cpuAtFirst = cpuMs();
    stepMs!.push(picked - started);
    pickMs!.push(picked - decoded);
    if (answered.length === newTokens) break;
    started = picked;
    embeds = await language.embed(answered.slice(-1));
    embedMs!.push(performance.now() - started);
    const before = decoder.ms;
    ({ logits, cache } = await language.forward({ embeds, S: 1 }, cache));
    insideMs!.push(decoder.ms - before);
  }
  const [prefillMs = 0, ...steps] = stepMs!;
  const cpu = { prefill: cpuAtFirst - cpuAtStart, steps: cpuMs() - cpuAtFirst };
  const parts = { insideMs: insideMs!, embedMs: embedMs!, pickMs: pickMs!.slice(1) };
  return {
    ids: answered,
    prefillMs,
    stepMs: steps,
    cpuMs: cpu,
    ...parts,
    peakKib: process.resourceUsage().maxRSS,
  };
}

/** Of the processor, by all threads so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
