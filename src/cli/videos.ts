import { statSync } from 'node:fs';
import { usageError } from './exit.js';

const extensions = [
  ...[
    'mp4',
    'm4v',
    'mov',
    'mkv',
    'webm',
    'avi',
    'mpg',
    'mpeg',
    'ts',
    'mts',
    'm2ts',
    'vob',
    'ogv',
    'wmv',
    'asf',
  ],
  ...[
    'flv',
    'f4v',
    '3gp',
    '3g2',
    'mxf',
    'y4m',
    'gif',
    'png',
    'apng',
    'jpg',
    'jpeg',
    'webp',
    'avif',
    'heic',
    'bmp',
  ],
];
const mediaName = new RegExp(`^[^\\s?]+\\.(${extensions.join('|')})$`, 'i');

/** What the rule of `splitVideos` says, for the help. */
export const videosHelp =
  'The first argument is a video; so is each one behind it that is a file, or a single word that ends like a video or picture (.mp4, .png …). ' +
  'The others are the questions, asked about each video.';

/**
 * Tells the videos of a command line from its questions.
 *
 * @throws a usage error where no question is left, or where a file follows the first question.
 */
export function splitVideos(
  first: string,
  rest: readonly string[],
): { videos: string[]; questions: string[] } {
  const found = rest.findIndex((argument) => !isVideo(argument));
  const end = found < 0 ? rest.length : found;
  const videos = [first, ...rest.slice(0, end)];
  const questions = rest.slice(end);
  if (questions.length === 0) {
    throw usageError(`expected a question behind the video, found only ${videos.map(quote).join(', ')}`);
  }
  const late = questions.find(isVideo);
  if (late !== undefined) {
    throw usageError(
      `${quote(late)} follows a question and looks like a video: name all videos before the questions`,
    );
  }
  return { videos, questions };
}

/** YouTube's ids, and so names of files, may begin with "-": commander would take them for options. */
export function refuseDashedFiles(argv: readonly string[]): void {
  const end = argv.indexOf('--');
  const options = end < 0 ? argv : argv.slice(0, end);
  const file = options.find((argument) => /^-[^-]/.test(argument) && isVideo(argument));
  if (file === undefined) return;
  throw usageError(
    `${quote(file)} looks like a file but begins with "-": write ./${file}, or put it behind --`,
  );
}

function isVideo(argument: string): boolean {
  return mediaName.test(argument) || isFile(argument);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // Also a question that is too long for a path.
  }
}

function quote(argument: string): string {
  return JSON.stringify(argument);
}
