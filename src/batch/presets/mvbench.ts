import { basename } from 'node:path';
import type { Preset } from './preset.js';

/**
 * MVBench (Li et al., 2023): 20 files `json/action_sequence.json` and so on, one a task, each an array of
 *
 *     {"video": "ZS9XR.mp4", "question": "What happened after the person took the food?",
 *      "candidates": ["Ate the medicine.", "Tidied up the blanket."], "answer": "Ate the medicine.", "start": 11.1, "end": 23.7}
 *
 * `start` and `end` are there in tasks about a part of the video. The category is the task, which is the file's name. The videos of each task
 * lie in a folder of their own (from memory; those of episodic reasoning are folders of pictures, which are not read).
 */
export const mvBench: Preset = {
  title: 'MVBench',
  columns: {
    video: 'video',
    question: 'question',
    options: 'candidates',
    answer: 'answer',
    start: 'start',
    end: 'end',
  },
  answerIs: 'text',
  categoryOf: (file) => basename(file).replace(/\.[^.]*$/, ''),
  wording: {
    option: (letter, text) => `(${letter}) ${text}`,
    behind: 'Only give the best option.',
  },
};
