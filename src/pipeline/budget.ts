import { InputError } from '../errors.js';
import { plural } from '../format.js';
import { splitBudget } from '../models/split-budget.js';
import type { TokenBudget } from '../models/types.js';
import { checkBudget } from './compress.js';
import type { Compression, Plan } from './types.js';

/** Fewer tokens of a frame than this are not chosen automatically; asking for them works. */
const minAutoTokens = 8;

/** What a frame, or frames that the tower takes together, are made of. */
export interface FrameCost {
  /** Tokens that the tower gives for it, or for one of its crops; CLS counted. */
  readonly N: number;
  /** What it costs without compression: its patches, and CLS where the family keeps it. */
  readonly P: number;
  /** What `auto` keeps of it, or of each crop, when there is room. */
  readonly defaultBudget: TokenBudget;
}

export interface PlanRequest {
  readonly contextLength: number;
  readonly maxNewTokens: number;
  readonly compression: Compression;
  /** What each costs where the video gets so many frames: some models show more of them smaller. */
  costOf(frames: number): FrameCost;
  /** In how many crops a frame is encoded, each with a budget of its own; default 1. */
  readonly crops?: number;
  /** Frames that the tower takes together, and makes tokens of as of one; default 1. */
  readonly framesTogether?: number;
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
  if (typeof compression === 'object') requireBudget(compression, request.costOf(frames).N);
  if (roomFor(request, 1) < 1) throw questionTooLong(request);

  const crops = request.crops ?? 1;
  const fitting = framesAreExplicit ? frames : mostFrames(request, (count) => leastOf(request, count));
  if (fitting < 1) throw doesNotFit(request);
  const wanted = tokensWanted(request, fitting);
  const room = Math.floor(roomFor(request, fitting) / groupsOf(request, fitting));
  const perFrame = room < wanted ? room - (room % crops) : wanted;
  if (perFrame < (framesAreExplicit && compression === 'auto' ? crops : leastOf(request, fitting))) {
    throw doesNotFit(request);
  }
  return describe(request, fitting, perFrame, wanted);
}

/** How often the tower runs for so many frames. */
function groupsOf({ framesTogether = 1 }: PlanRequest, frames: number): number {
  return Math.ceil(frames / framesTogether);
}

/** To how few tokens a frame may be brought before frames are left out. */
function leastOf(request: PlanRequest, frames: number): number {
  const wanted = tokensWanted(request, frames);
  return request.compression === 'auto' ? Math.min(minAutoTokens * (request.crops ?? 1), wanted) : wanted;
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
function tokensWanted({ compression, costOf, crops = 1 }: PlanRequest, frames: number): number {
  const { P, defaultBudget } = costOf(frames);
  if (compression === 'none') return P;
  const budget = compression === 'auto' ? defaultBudget : compression;
  return crops * (budget.dominant + budget.contextual);
}

/** Visual tokens that fit beside the text of `frames` frames and the answer. */
function roomFor({ contextLength, maxNewTokens, textTokens }: PlanRequest, frames: number): number {
  return contextLength - maxNewTokens - textTokens(frames);
}

/** The largest number of frames, at most those sampled, that fit at so many tokens each; 0 if none. */
function mostFrames(request: PlanRequest, tokensOf: (frames: number) => number): number {
  const doFit = (frames: number) => groupsOf(request, frames) * tokensOf(frames) <= roomFor(request, frames);
  if (doFit(request.frames)) return request.frames;
  let fits = 0;
  let tooMany = request.frames;
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (doFit(middle)) fits = middle;
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
  const { framesTogether = 1 } = request;
  const budget = budgetOf(request, frames, perFrame, wanted);
  return {
    frames,
    crops: request.crops ?? 1,
    tokensPerFrame: perFrame,
    framesTogether,
    budget,
    tokensPerFrameBefore: request.costOf(frames).P,
    contextLength: request.contextLength,
    promptTokens: request.textTokens(frames) + groupsOf(request, frames) * perFrame,
    maxNewTokens: request.maxNewTokens,
    reason: reasonOf(request, frames, perFrame, wanted),
  };
}

function budgetOf(
  request: PlanRequest,
  frames: number,
  perFrame: number,
  wanted: number,
): TokenBudget | null {
  if (request.compression === 'none') return null;
  if (request.compression !== 'auto') return request.compression;
  if (perFrame === wanted) return request.costOf(frames).defaultBudget;
  return splitBudget(perFrame / (request.crops ?? 1));
}

function reasonOf(request: PlanRequest, frames: number, perFrame: number, wanted: number): string {
  const { crops = 1, framesTogether = 1, compression } = request;
  const { P } = request.costOf(frames);
  const context = `the context of ${request.contextLength} tokens`;
  const all = frames < request.frames ? `${frames} of ${request.frames} frames` : plural(frames, 'frame');
  const fewer = framesTogether > 1 && frames > 1 ? `${all}, ${framesTogether} at a time,` : all;
  const what = crops > 1 ? `a picture in ${crops} crops` : fewer;
  const fit = frames === 1 ? 'fits' : 'fit';
  if (compression === 'none') return `${what} with all ${perFrame} tokens each ${fit} ${context}`;
  const each = perFrame / crops;
  if (compression !== 'auto') return `${what} with the ${each} tokens asked for ${fit} ${context}`;
  const tokens = perFrame < wanted ? `${each} instead of ${wanted / crops} tokens` : `${each} tokens`;
  const before = crops > 1 ? `each (${P} in all without compression)` : `of ${P} each`;
  return `${what} with ${tokens} ${before} ${fit} ${context}`;
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

function doesNotFit(request: PlanRequest): InputError {
  const { frames, crops = 1, framesTogether = 1, contextLength, maxNewTokens } = request;
  const wanted = tokensWanted(request, frames);
  const groups = groupsOf(request, frames);
  const room = Math.max(roomFor(request, frames), 0);
  const visual = `${groups * wanted} visual tokens`;
  const units = framesTogether > 1 ? `${groups} × ${framesTogether} frames` : plural(frames, 'frame');
  const demand =
    crops > 1 ? `${visual} of a picture in ${crops} crops` : `${units} × ${wanted} tokens = ${visual}`;
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
  const perFrame = Math.floor(room / groupsOf(request, frames));
  const fewer = mostFrames(request, () => wanted);
  const options = [
    fewer > 0 && fewer < frames ? `${plural(fewer, 'frame')} at ${wanted} tokens` : '',
    perFrame > 0 ? `${plural(frames, 'frame')} at ${perFrame} tokens` : '',
  ].filter(Boolean);
  return options.join(', or ') || 'fewer frames';
}
