import type { PartDtypes } from '../layout.js';
import type { Manifest } from '../manifest.js';
import type { FrameDefaults } from '../types.js';

/** How the models of one architecture show a video to their language model: what none of their files says. */
export interface Family {
  readonly name: string;
  /** The values of `model_type` in config.json by which it is known. */
  readonly modelTypes: readonly string[];
  /**
   * `compress-project`: as in the paper. `project-pool-compress`: all tokens are projected, and a frame's grid is pooled,
   * before any is left out. `project-compress`: the connector makes one token of neighbouring patches, and is in the tower's
   * graph; scores and keys are means over those patches.
   */
  readonly order: Manifest['order'];
  /** Where the frames go in the chat: an image each, one video, sentences with a time and an image each, or behind times. */
  readonly frames: Manifest['frames'];
  /** How the chat shows a still picture; default as a frame. */
  readonly still?: Manifest['still'];
  /** Of a tower that takes pictures in their own proportions. */
  readonly native?: Pick<NonNullable<Manifest['tower']['native']>, 'gridInput' | 'pixelsOf'>;
  /** Of positions in three axes, what the first counts. */
  readonly rope?: NonNullable<Manifest['rope']>['time'];
  readonly newline: Manifest['newlineTokens'];
  /** Types of weights that the makers recommend for its parts; default the decoder's for all. */
  readonly mix?: Partial<PartDtypes>;
  /** How a still picture is looked at in several crops: all together in the prompt, or each by itself. */
  readonly crops?: 'together' | 'apart';
  /** Share of a frame's tokens that is kept by default. */
  readonly keeps: number;
  /** Frames of a video where nobody says how many, and the model's own files say nothing. */
  readonly defaultFrames: FrameDefaults;
}
