import { basename } from 'node:path';
import { type Preset, videoChat2 } from './preset.js';

/**
 * MVBench (Li et al., 2023): 20 files `json/action_sequence.json` and so on, one a task, each an array of
 *
 *     {"video": "ZS9XR.mp4", "question": "What happened after the person took the food?",
 *      "candidates": ["Ate the medicine.", "Tidied up the blanket."], "answer": "Ate the medicine.", "start": 11.1, "end": 23.7}
 *
 * `start` and `end` are there in tasks about a part of the video. The category is the task, which is the file's name. The videos of each task
 * lie in a folder such as `video/clevrer/video_validation`; those of episodic reasoning are folders of pictures, which are not read. The hub has
 * some videos cut to their parts as well (`star/Charades_segment`): for those the rows' `start` and `end` are none.
 */
export const mvBench: Preset = {
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
    ...videoChat2,
    before:
      'Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of objects, and the action and pose of persons. Based on your observations, select the best option that accurately addresses the question.',
  },
};
