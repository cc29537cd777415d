import { createInterface, type Interface } from 'node:readline';
import type { Command } from 'commander';
import pc from 'picocolors';
import type { AskJob, JobTurn, Result } from '../../queues/schemas.js';
import { formatMs } from '../format.js';
import { CliError, type ExitCode, exitCodes } from './exit.js';
import { type LocalModel, withLocalModel } from './local-model.js';
import { tellOfShippedModel } from './notice.js';
import { addJobOptions, buildJob, type JobOptions, jobSettings } from './options.js';
import { createProgressBar } from './progress.js';
import { AnswerPrinter, printSummary, requireCompleted } from './report.js';
import { addCommonOptions, type Context, command } from './run.js';

export function addChat(program: Command): void {
  const chat = program
    .command('chat')
    .summary('ask one video question after question')
    .description(
      'Encodes a video once and then answers the questions that are typed, one a line. Each is asked with the questions and answers before it, ' +
        'but for the shipped model, which was trained on single questions; ' +
        'where the context of the model is full the oldest are dropped, which is said. A line `/new` starts over. Ctrl-C stops an answer; Ctrl-D, or Ctrl-C twice, ends. Questions can also come through a pipe; with --json each ' +
        'answer is a document on a line of its own.',
    )
    .argument('<video>', 'a video or picture file');
  addJobOptions(chat, "a model's name below the models folder, or the path of its folder")
    .option(
      '--history',
      'ask each question with the ones before it, and their answers, of the shipped model, too',
    )
    .option('--no-history', 'ask each question by itself: an answer does not know of the ones before it');
  addCommonOptions(chat, [
    'chat clip.mp4',
    'chat lecture.mp4 --start 12:30 --end 14:00 --frames 32',
    'chat clip.mp4 --no-history --json < questions.txt > answers.jsonl',
  ]).action(command(runChat));
}

interface ChatOptions extends JobOptions {
  readonly history?: boolean;
}

async function runChat(context: Context, video: string, options: ChatOptions): Promise<ExitCode> {
  const { model: wanted, ...chosen } = jobSettings(options);
  const job = buildJob(video, ['(typed later)'], chosen);
  return withLocalModel(wanted, async (model) => {
    tellOfShippedModel(model);
    const { history = !model.isShipped } = options;
    const chat = new Chat(model, { ...job, model: model.name }, context, history);
    await chat.open();
    return chat.answerAll();
  });
}

/** What is typed to start over. */
const newTopic = '/new';
/** As many turns as a job may carry. */
const mostTurns = 256;

/** One video and its questions, as they come from standard input. */
class Chat {
  readonly #model: LocalModel;
  readonly #job: AskJob;
  readonly #context: Context;
  #lines: Interface | undefined;
  /** Of the answer under way. */
  #stop: AbortController | null = null;
  /** What was asked and answered so far, as far as it is remembered. */
  #turns: JobTurn[] = [];

  constructor(
    model: LocalModel,
    job: AskJob,
    context: Context,
    readonly hasHistory: boolean,
  ) {
    this.#model = model;
    this.#job = job;
    this.#context = context;
  }

  /** Makes the video ready. Throws as `ask` does where it cannot be asked. */
  async open(): Promise<void> {
    const bar = createProgressBar();
    try {
      const document = await this.#document([], { onProgress: (progress) => bar.update(progress) });
      bar.clear();
      if (document.status !== 'completed') this.#context.line(document);
      requireCompleted(document);
      if (!this.#context.json) printSummary(document, performance.now());
    } finally {
      bar.clear();
    }
  }

  /** Until standard input ends. Exit code 1 where a question failed. */
  async answerAll(): Promise<ExitCode> {
    const lines = this.#readLines();
    let exitCode: ExitCode = exitCodes.ok;
    try {
      lines.prompt();
      for await (const line of lines) {
        if (line.trim() === newTopic) this.#startOver();
        else if (line.trim() !== '' && !(await this.#answer(line.trim()))) exitCode = exitCodes.failed;
        this.#context.signal.throwIfAborted();
        lines.prompt();
      }
    } finally {
      lines.close();
    }
    this.#context.signal.throwIfAborted();
    if (lines.terminal) process.stderr.write('\n');
    return exitCode;
  }

  #readLines(): Interface {
    const { json, signal } = this.#context;
    // The prompt and what is typed belong to the conversation, not to its output.
    const lines = createInterface({ input: process.stdin, output: process.stderr, prompt: '> ', signal });
    if (!lines.terminal || json) lines.setPrompt('');
    let isWarned = false;
    lines.on('line', () => {
      isWarned = false;
    });
    // A terminal in raw mode sends no signals.
    lines.on('SIGINT', () => {
      if (this.#stop) return this.#stop.abort();
      if (isWarned) return process.kill(process.pid, 'SIGINT');
      isWarned = true;
      process.stderr.write('\n(Ctrl-D or a second Ctrl-C ends)\n');
      lines.prompt();
    });
    this.#lines = lines;
    return lines;
  }

  /** Whether there was an answer; one that was stopped counts. */
  async #answer(question: string): Promise<boolean> {
    const { json, signal } = this.#context;
    const isTyped = this.#lines?.terminal === true;
    const printer = new AnswerPrinter([question]);
    if (!json && !isTyped) process.stdout.write(`${question}\n`);
    this.#stop = new AbortController();
    const onText = json ? undefined : (index: number, text: string) => printer.text(index, text);
    try {
      const document = await this.#document([question], { onText, stop: this.#stop.signal });
      printer.end();
      if (json) this.#context.line({ question, ...document });
      if (document.status !== 'completed') throw new CliError(exitCodes.failed, document.error);
      this.#remember(document);
      if (!json) process.stderr.write(`${pc.dim(timeOf(document))}\n`);
      return true;
    } catch (error) {
      printer.end();
      signal.throwIfAborted();
      if (this.#stop.signal.aborted) return true;
      if (!(error instanceof CliError)) throw error;
      process.stderr.write(`visionzip: ${error.message}\n`);
      return false;
    } finally {
      this.#stop = null;
    }
  }

  #startOver(): void {
    this.#turns = [];
    if (!this.#context.json) process.stderr.write(`${pc.dim('(what was said before is forgotten)')}\n`);
  }

  #remember({ answers: [answer] }: Result): void {
    if (!this.hasHistory || !answer) return;
    const { question, turnsDropped = 0 } = answer;
    this.#turns = [...this.#turns.slice(turnsDropped), { question, answer: answer.answer }].slice(-mostTurns);
    if (turnsDropped === 0) return;
    const what = turnsDropped === 1 ? 'question is' : `${turnsDropped} questions are`;
    process.stderr.write(`visionzip: the context is full: the oldest ${what} forgotten\n`);
  }

  #document(questions: string[], { stop, ...listeners }: Listeners) {
    const { signal } = this.#context;
    return this.#model.document(
      { ...this.#job, questions, ...(this.#turns.length > 0 && { history: this.#turns }) },
      { ...listeners, keepVideo: true, signal: stop ? AbortSignal.any([signal, stop]) : signal },
    );
  }
}

type Listeners = Pick<Parameters<LocalModel['document']>[1], 'onProgress' | 'onText'> & {
  readonly stop?: AbortSignal;
};

function timeOf({ timings, answers }: Result): string {
  const [answer] = answers;
  return `${formatMs(timings.totalMs)}; first token after ${formatMs(timings.firstTokenMs)}; ${answer!.newTokens} tokens`;
}
