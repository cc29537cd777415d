import { InputError } from '../errors.js';
import { splitBudget } from '../models/split-budget.js';
import type { TokenBudget } from '../models/types.js';
import { checkBudget } from './compress.js';
import type { Compression, Plan } from './types.js';

/** Fewer tokens of a frame than this are not chosen automatically; asking for them works. */
const minAutoTokens = 8;

export interface PlanRequest {
  readonly contextLength: number;
  readonly maxNewTokens: number;
  readonly compression: Compression;
  /** Tokens that the tower gives for a frame, or for one of its crops; CLS counted. */
  readonly N: number;
  /** What a frame costs without compression: its patches, and CLS where the family keeps it. */
  readonly P: number;
  /** In how many crops a frame is encoded, each with a budget of its own; default 1. */
  readonly crops?: number;
  /** What `auto` keeps of a frame, or of each crop, when there is room. */
  readonly defaultBudget: TokenBudget;
  /** Frames that the sampling gives. */
  readonly frames: number;
  /** True when the caller asked for these frames; then they are not reduced. */
  readonly framesAreExplicit: boolean;
  /**
   * Tokens of the longest prompt with `frames` frames, apart from the visual tokens: template, separators,
   * frame times and question. Must not shrink when `frames` grows.
   */
  textTokens(frames: number): number;
}

/**
 * Fits frames and tokens a frame into the context. Explicit settings win. What is left open gives way in this
 * order: the tokens of a frame down to 8 (`auto` compression), then the number of frames.
 *
 * Throws an InputError that says what would fit, or that a budget is above the frame's tokens.
 */
export function planTokens(request: PlanRequest): Omit<Plan, 'events'> {
  const { compression, frames, framesAreExplicit } = request;
  if (typeof compression === 'object') requireBudget(compression, request.N);
  if (roomFor(request, 1) < 1) throw questionTooLong(request);

  const crops = request.crops ?? 1;
  const wanted = tokensWanted(request);
  const least = compression === 'auto' ? Math.min(minAutoTokens * crops, wanted) : wanted;
  const fitting = framesAreExplicit ? frames : mostFrames(request, least);
  if (fitting < 1) throw doesNotFit(request, wanted);
  const room = Math.floor(roomFor(request, fitting) / fitting);
  const perFrame = room < wanted ? room - (room % crops) : wanted;
  if (perFrame < (framesAreExplicit && compression === 'auto' ? crops : least)) {
    throw doesNotFit(request, wanted);
  }
  return describe(request, fitting, perFrame, wanted);
}

/** A budget that a frame cannot give is the asker's fault, so an InputError. */
function requireBudget(budget: TokenBudget, N: number): void {
  try {
    checkBudget(budget, N);
  } catch (error) {
    throw new InputError((error as Error).message, { fault: 'settings', cause: error });
  }
}

/** Tokens a frame when there is room. */
function tokensWanted({ compression, defaultBudget, P, crops = 1 }: PlanRequest): number {
  if (compression === 'none') return P;
  const budget = compression === 'auto' ? defaultBudget : compression;
  return crops * (budget.dominant + budget.contextual);
}

/** Visual tokens that fit beside the text of `frames` frames and the answer. */
function roomFor({ contextLength, maxNewTokens, textTokens }: PlanRequest, frames: number): number {
  return contextLength - maxNewTokens - textTokens(frames);
}

/** The largest number of frames, at most those sampled, that fit at `perFrame` tokens each; 0 if none. */
function mostFrames(request: PlanRequest, perFrame: number): number {
  let fits = 0;
  let tooMany = request.frames + 1;
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (middle * perFrame <= roomFor(request, middle)) fits = middle;
    else tooMany = middle;
  }
  return fits;
}

function describe(
  request: PlanRequest,
  frames: number,
  perFrame: number,
  wanted: number,
): Omit<Plan, 'events'> {
  const budget = budgetOf(request, perFrame, wanted);
  return {
    frames,
    crops: request.crops ?? 1,
    tokensPerFrame: perFrame,
    budget,
    tokensPerFrameBefore: request.P,
    contextLength: request.contextLength,
    promptTokens: request.textTokens(frames) + frames * perFrame,
    maxNewTokens: request.maxNewTokens,
    reason: reasonOf(request, frames, perFrame, wanted),
  };
}

function budgetOf(request: PlanRequest, perFrame: number, wanted: number): TokenBudget | null {
  if (request.compression === 'none') return null;
  if (request.compression !== 'auto') return request.compression;
  return perFrame === wanted ? request.defaultBudget : splitBudget(perFrame / (request.crops ?? 1));
}

function reasonOf(request: PlanRequest, frames: number, perFrame: number, wanted: number): string {
  const { crops = 1, compression, P } = request;
  const context = `the context of ${request.contextLength} tokens`;
  const fewer = frames < request.frames ? `${frames} of ${request.frames} frames` : `${frames} frames`;
  const what = crops > 1 ? `a picture in ${crops} crops` : fewer;
  if (compression === 'none') return `${what} with all ${perFrame} tokens each fit ${context}`;
  const each = perFrame / crops;
  if (compression !== 'auto') return `${what} with the ${each} tokens asked for fit ${context}`;
  const tokens = perFrame < wanted ? `${each} instead of ${wanted / crops} tokens` : `${each} tokens`;
  const before = crops > 1 ? `each (${P} in all without compression)` : `of ${P} each`;
  return `${what} with ${tokens} ${before} fit ${context}`;
}

function questionTooLong(request: PlanRequest): InputError {
  const most = request.contextLength - request.maxNewTokens - 1;
  return new InputError(
    `the question is too long: with the template and one frame it takes ${request.textTokens(1)} tokens, ` +
      `${Math.max(most, 0)} fit beside an answer of ${request.maxNewTokens} in ` +
      `the context of ${request.contextLength}`,
    { fault: 'question' },
  );
}

function doesNotFit(request: PlanRequest, wanted: number): InputError {
  const { frames, crops = 1, contextLength, maxNewTokens } = request;
  const room = Math.max(roomFor(request, frames), 0);
  const visual = `${frames * wanted} visual tokens`;
  const demand =
    crops > 1
      ? `${visual} of a picture in ${crops} crops`
      : `${frames} frames × ${wanted} tokens = ${visual}`;
  const fitting = crops > 1 ? cropsThatFit(crops, room) : framesThatFit(request, wanted, room);
  return new InputError(
    `${demand} do not fit: the context of ${contextLength} leaves ${room} beside ` +
      `${request.textTokens(frames)} tokens of text and an answer of ${maxNewTokens}; what would fit: ${fitting}`,
    { fault: 'settings' },
  );
}

function cropsThatFit(crops: number, room: number): string {
  const perCrop = Math.floor(room / crops);
  return perCrop > 0 ? `${perCrop} tokens a crop` : 'no picture';
}

function framesThatFit(request: PlanRequest, wanted: number, room: number): string {
  const { frames } = request;
  const perFrame = Math.floor(room / frames);
  const fewer = mostFrames(request, wanted);
  const options = [
    fewer > 0 && fewer < frames ? `${fewer} frames at ${wanted} tokens` : '',
    perFrame > 0 ? `${frames} frames at ${perFrame} tokens` : '',
  ].filter(Boolean);
  return options.join(', or ') || 'fewer frames';
}
